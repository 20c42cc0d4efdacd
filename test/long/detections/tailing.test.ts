import type { Pool } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { noteFindings, wantDetections } from '../../../src/sinks/findings/record-findings.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, commitAll, newSource } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { burstDeeds, deleteAt, singleDeeds } from '../../support/sync/attacks.ts';

const SEED = 3;
const startMs = Date.now() - 86_400_000;
const database = databaseOfTests();
let pool: Pool;
beforeAll(async () => {
  pool = database.pool;
  await pool.query('insert into collector_tokens (token_id) values ($1)', ['5cf1d3b2a0e94f7788c1b2a3d4e5f607']);
});

describe(`following the detections by position (seed ${SEED})`, () => {
  test('a reader between commits of any size, of events in any order, meets each attack, and so do the findings that are noted', async () => {
    await wantDetections(pool, false);
    const random = seededRandom(SEED);
    const deeds = shuffled([...singleDeeds(startMs), ...burstDeeds(startMs)], random);
    let lease = await newSource(pool, 'organization of the reader');
    const seen: Alert[] = [];
    for (let from = 0, size = 1; from < deeds.length; from += size, size = 1 + Math.floor(random() * 9)) {
      const page = deeds.slice(from, from + size).map(({ text }) => text);
      const [result] = await commitAll(pool, lease, [page]);
      if (result === undefined) throw new Error('not committed');
      lease = result.lease;
      seen.push(...(await alertsAfter(seen.at(-1)?.position ?? 0)));
      // Asked no further back than the oldest of the new events.
      await noteFindings(pool, 50_000);
      if (from % 8 > 0) continue;
      expect(new Set(seen.map(lineOf)), 'all that there is now').toEqual(
        new Set([...seen, ...(await alertsAfter(0))].map(lineOf)),
      );
    }
    const isBurst = ({ detection }: Alert): boolean => detection.endsWith('_burst');
    const expected = deeds.flatMap(({ id, found }) => found.map((detection) => `${detection}: ${id}`));
    const singles = seen.filter((alert) => !isBurst(alert)).map(({ detection, id }) => `${detection}: ${id}`);
    expect(singles.sort(), 'once each').toEqual(expected.filter((line) => !line.includes('_burst')).sort());
    // Which event completes a burst depends on the order in which they came; who did it does not.
    const bursts = seen
      .filter(isBurst)
      .map(({ detection, id }) => `${detection}: ${id.replace(/ \d+(, later)?$/, '$1')}`);
    const people = expected
      .filter((line) => line.includes('_burst'))
      .map((line) => line.replace(/ \d+(, later)?$/, '$1'));
    expect([...new Set(bursts)].sort()).toEqual(people.sort());
    const { rows: noted } = await pool.query<Alert>('select detection, id from findings');
    const named = (alerts: readonly Alert[]) =>
      [...new Set(alerts.map(({ detection, id }) => `${detection}: ${id}`))].sort();
    expect(named(noted)).toEqual(named(seen));
  });

  test('a burst stands at the position of that event of it which was stored last, whenever it happened', async () => {
    const lease = await newSource(pool, 'late');
    const texts = Array.from({ length: 10 }, (_, n) => deleteAt(`late ${n}`, startMs + n * 1_000, 'late'));
    const [first] = await commitAll(pool, lease, [[...texts.slice(0, 4), ...texts.slice(5)]]);
    expect(await burstsOf('late')).toEqual([]);
    if (first === undefined) throw new Error('not committed');
    await commit(pool, first.lease, [texts[4] ?? '']);
    const { rows } = await pool.query<{ position: number }>(
      "select position::float8 as position from audit_events where id = 'late 4'",
    );
    expect(await burstsOf('late')).toEqual([{ detection: 'delete_burst', id: 'late 9', position: rows[0]?.position }]);
  });

  test('bursts of longer ago than 31 days are found since orgtrail.bursts_since', async () => {
    const oldMs = startMs - 60 * 86_400_000;
    const texts = Array.from({ length: 10 }, (_, n) => deleteAt(`old ${n}`, oldMs + n * 1_000, 'old'));
    await commitAll(pool, await newSource(pool, 'old'), [texts]);
    expect(await burstsOf('old')).toEqual([]);
    const client = await pool.connect();
    try {
      await client.query('begin');
      await client.query("select set_config('orgtrail.bursts_since', $1, true)", [new Date(oldMs).toISOString()]);
      const { rows } = await client.query("select id from detection_delete_burst where actor_id = 'old'");
      expect(rows).toEqual([{ id: 'old 9' }]);
      await client.query('commit');
      // After a local setting PostgreSQL leaves an empty one behind.
      const after = await client.query("select id from detection_delete_burst where actor_id = 'old'");
      expect(after.rows).toEqual([]);
    } finally {
      client.release();
    }
  });

  test('the same person in two organizations is two; no actor at all is one', async () => {
    for (const id of ['here', 'there']) {
      const texts = Array.from({ length: 9 }, (_, n) => deleteAt(`${id} ${n}`, startMs + n, 'both'));
      await commitAll(pool, await newSource(pool, id), [texts]);
    }
    expect(await burstsOf('both')).toEqual([]);
    const nameless = Array.from({ length: 10 }, (_, n) =>
      deleteAt(`nameless ${n}`, startMs + n, 'x').replace(/"actor":\{[^}]*\}/, '"actor":{}'),
    );
    await commitAll(pool, await newSource(pool, 'nameless'), [nameless]);
    const { rows } = await pool.query("select id, actor from detection_delete_burst where source_id = 'nameless'");
    expect(rows).toEqual([{ id: 'nameless 9', actor: 'unknown' }]);
  });
});

interface Alert {
  readonly detection: string;
  readonly id: string;
  readonly position: number;
}

const alertsAfter = async (position: number): Promise<readonly Alert[]> => {
  const { rows } = await pool.query<Alert>(
    `select detection, id, position::float8 as position from detections where position > $1 order by position, detection`,
    [position],
  );
  return rows;
};

const burstsOf = async (actor: string): Promise<readonly Alert[]> => {
  const { rows } = await pool.query<Alert>(
    `select detection, id, position::float8 as position from detection_delete_burst where actor_id = $1 order by position`,
    [actor],
  );
  return rows;
};

const lineOf = ({ detection, id, position }: Alert): string => `${position} ${detection}: ${id}`;

const shuffled = <T>(list: readonly T[], random: () => number): readonly T[] =>
  list
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
