import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { sqlState } from '../../../src/postgres/sql-state.ts';
import { committed } from '../../support/postgres/committed.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { addSources, commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const SEED = 6;
const pool = poolOfTests();
beforeAll(async () => {
  await addSources(pool, SOURCES);
  await pool.query("alter table audit_events add constraint no_poison check (id <> 'poison')");
});

describe('invariant 6: position is gapless and in commit order', () => {
  test(`a reader beside four writers, with statements that fail or are cancelled, sees every position once and in order (seed ${SEED})`, async () => {
    const random = seededRandom(SEED);
    let total: number | undefined;
    const reading = follow(() => total);
    const writing = Promise.all(SOURCES.map((source) => write(source, random)));
    for (let round = 0; round < CANCELLATIONS; round += 1) {
      // At the head of the feed every statement has its rows ready, and only the number is missing.
      await withLock(pool, 'select from feed_head for update', async () => {
        const backends = await waitingBackends(pool, 1);
        const backend = backends[Math.floor(random() * backends.length)];
        await pool.query('select pg_cancel_backend($1)', [backend]);
      });
    }
    const counts = await writing;
    total = counts.reduce((sum, { stored }) => sum + stored, 0);
    const positions = await reading;
    expect(counts.reduce((sum, count) => sum + count.cancelled, 0)).toBeGreaterThanOrEqual(CANCELLATIONS / 2);
    expect(positions).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    const { rows } = await pool.query(
      `select count(*)::integer as count, max(position)::integer as newest, count(distinct position)::integer as distinct,
         (select position::integer from feed_head) as head from audit_events`,
    );
    expect(rows).toEqual([{ count: total, newest: total, distinct: total, head: total }]);
  });

  test('who waits for the head of the feed gets the number behind the one that held it', async () => {
    const [first, second] = [await takeLease(pool, 'a'), await takeLease(pool, 'b')];
    const order: string[] = [];
    const commitAs = async (lease: typeof first, id: string) => {
      const result = await commit(pool, lease, [entryText(id)]);
      order.push(id);
      return result;
    };
    const commits = await withLock(pool, 'select from feed_head for update', async () => {
      const one = commitAs(first, 'waits-1');
      await waitingBackends(pool, 1);
      const two = commitAs(second, 'waits-2');
      await waitingBackends(pool, 2);
      return [one, two];
    });
    expect(await Promise.all(commits)).toMatchObject([{ stored: 1 }, { stored: 1 }]);
    const { rows } = await pool.query<{ id: string }>(
      "select id from audit_events where id like 'waits-%' order by position",
    );
    expect(rows.map((row) => row.id)).toEqual(['waits-1', 'waits-2']);
    expect(order).toHaveLength(2);
  });

  test('a page of duplicates, and one of nothing, take no number and do not wait for the head of the feed', async () => {
    const lease = await takeLease(pool, 'a');
    const first = await committed(pool, lease, [entryText('known')]);
    await withLock(pool, 'select from feed_head for update', async () => {
      const second = await commit(pool, first.lease, [entryText('known')]);
      expect(second).toMatchObject({ kind: 'committed', stored: 0, duplicates: 1 });
      if (second.kind !== 'committed') return;
      expect(await commit(pool, second.lease, [])).toMatchObject({ kind: 'committed', stored: 0, duplicates: 0 });
    });
  });
});

const SOURCES = ['a', 'b', 'c', 'd'];
const PAGES = 40;
const CANCELLATIONS = 16;

const cancelled = (error: unknown): boolean => sqlState(error) === '57014';

/** Commits pages of random size, some of them with entries that are known; what is cancelled is committed again. */
const write = async (source: string, random: () => number): Promise<{ stored: number; cancelled: number }> => {
  let lease = await takeLease(pool, source);
  let next = 0;
  const counts = { stored: 0, cancelled: 0 };
  for (let page = 0; page < PAGES; page += 1) {
    const from = Math.max(0, next - Math.floor(random() * 4));
    const to = next + Math.floor(random() * 12);
    const texts = Array.from({ length: to - from }, (_, index) =>
      entryText(`${source}-${from + index}`, T0 + (from + index) * 1_000),
    );
    next = to;
    if (page % 7 === 6) {
      // Fails at its last row, when the others have their numbers.
      const poisoned = [...texts, entryText(`${source}-doomed`), entryText('poison')];
      await expect(commit(pool, lease, poisoned)).rejects.toThrow(/no_poison|canceling/);
    }
    for (;;) {
      const result = await commit(pool, lease, texts).catch((error: unknown) => {
        if (!cancelled(error)) throw error;
        counts.cancelled += 1;
        return undefined;
      });
      if (result === undefined) continue;
      if (result.kind !== 'committed') throw new Error('fenced');
      lease = result.lease;
      counts.stored += result.stored;
      break;
    }
  }
  expect(counts.stored).toBe(next);
  return counts;
};

/** Follows the feed as its documentation says, until it is told that all has been written. */
const follow = async (written: () => number | undefined): Promise<readonly number[]> => {
  const positions: number[] = [];
  for (;;) {
    const total = written();
    const { rows } = await pool.query<{ position: number }>(
      'select position::float8 as position from audit_events where position > $1 order by position',
      [positions.at(-1) ?? 0],
    );
    positions.push(...rows.map((row) => row.position));
    if (total !== undefined) return positions;
    await pause(1);
  }
};
