import type { Pool } from 'pg';
import { beforeEach, describe, expect, test } from 'vitest';
import { compareWithTruth } from '../../../src/cli/demo/verdict.sql.ts';
import { countPositions, eachFeedRow, positionOfNth, readMissedEvents } from '../../../src/feed/feed.sql.ts';
import { readFeedEvents } from '../../../src/feed/feed-events.sql.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { readSinkStatus } from '../../../src/sinks/sink-status.sql.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { lastJump, loseCommits } from '../../support/postgres/lost-commits.ts';
import {
  addSources,
  commit,
  commitAll,
  entryText,
  newSource,
  takeLease,
} from '../../support/postgres/store-fixture.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';

const database = ofEachTest(() => createTestDatabase());
let pool: Pool;
beforeEach(() => {
  ({ pool } = database);
});

const ids = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => entryText(`e-${from + index}`));
/** All that is stored was committed so much earlier. */
const age = async (by: string) => {
  await pool.query(`update audit_events set received_at = received_at - interval '${by}'`);
  await pool.query(
    `update feed_head set timeline_since = timeline_since - interval '${by}', alive_at = alive_at - interval '${by}',
       paced_until = paced_until - interval '${by}'`,
  );
};

describe('invariant 6: after a failover no position is given twice', () => {
  test('the first commit on another timeline goes on beyond all that can be lost, and records it once', async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 10)]);
    const { timeline } = await head();
    expect(timeline).toMatch(/^[0-9A-F]{8} \d+ \d+$/);
    await loseCommits(pool, 6);
    const [first, second] = await commitAll(pool, await takeLease(pool, 'a'), [ids(7, 10), ids(11, 12)]);
    expect([first?.stored, second?.stored]).toEqual([4, 2]);
    const jump = await lastJump(pool);
    expect(jump).toMatchObject({ from: 6, old: 'of the lost server', new: timeline });
    expect(jump.to).toBeGreaterThanOrEqual(6 + LEAST_JUMP);
    expect(await positions()).toEqual([1, 2, 3, 4, 5, 6, ...[1, 2, 3, 4, 5, 6].map((n) => jump.to + n)]);
    expect(await head()).toEqual({ position: jump.to + 6, timeline });
    expect(await jumps()).toBe(1);
  });

  test('a reader anywhere among lost positions is told, also where one jump ends and the next one begins', async () => {
    await pool.query(`insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline)
      values (1, 5, 9, 'a', 'b'), (2, 9, 100, 'b', 'c')`);
    const told = async (after: number) => (await readMissedEvents(pool, after, 0, { hasArchive: false })) !== undefined;
    expect(await Promise.all([5, 6, 9, 10, 99, 100].map(told))).toEqual([false, true, true, true, true, false]);
  });

  test('the longer ago the last commit that is left, the further', async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 2)]);
    await age('1 hour');
    await loseCommits(pool, 2);
    // On a server that has not compared yet, a note would hide the hour.
    await pool.query('select orgtrail_note_alive()');
    await commitAll(pool, await takeLease(pool, 'a'), [ids(3, 3)]);
    const { from, to } = await lastJump(pool);
    expect(to - from).toBeGreaterThanOrEqual(LEAST_JUMP + 3_600 * PER_SECOND);
    expect(to - from).toBeLessThan(LEAST_JUMP + CREDIT + 2 * 3_600 * PER_SECOND);
  });

  test('a time without events does not count if the database has noted that it was at work', async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 2)]);
    await age('1 hour');
    await pool.query('select orgtrail_note_alive()');
    await loseCommits(pool, 2);
    await commitAll(pool, await takeLease(pool, 'a'), [ids(3, 3)]);
    const { from, to } = await lastJump(pool);
    expect(to - from).toBeGreaterThanOrEqual(LEAST_JUMP + CREDIT);
    expect(to - from).toBeLessThan(LEAST_JUMP + CREDIT + 600 * PER_SECOND);
  });

  test('a row of before positions were paced jumps as far as they may have come then', async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 2)]);
    await age('100 s');
    await loseCommits(pool, 2);
    await pool.query('update feed_head set alive_at = null, paced_until = null');
    await commitAll(pool, await takeLease(pool, 'a'), [ids(3, 3)]);
    const { from, to } = await lastJump(pool);
    expect(to - from).toBeGreaterThanOrEqual(1_000_000 + 100 * 100_000);
  });

  test('also when nothing was left', async () => {
    await age('100 s');
    await loseCommits(pool, 0);
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 1)]);
    const { from, to } = await lastJump(pool);
    expect(from).toBe(0);
    expect(to).toBeGreaterThanOrEqual(LEAST_JUMP + 100 * PER_SECOND);
  });

  test('many that commit at once jump once, and none of them gets a position in between', async () => {
    const sources = ['a', 'b', 'c', 'd'];
    await addSources(pool, sources);
    const leases = await Promise.all(sources.map((id) => takeLease(pool, id)));
    await loseCommits(pool, 0);
    const commits = await withLock(pool, 'select from feed_head for update', async () => {
      const all = leases.map((lease, index) => commit(pool, lease, [entryText(`of-${index}`)]));
      await waitingBackends(pool, sources.length);
      return all;
    });
    expect(await Promise.all(commits)).toMatchObject(sources.map(() => ({ kind: 'committed', stored: 1 })));
    const { to } = await lastJump(pool);
    expect(await positions()).toEqual([1, 2, 3, 4].map((n) => to + n));
    expect(await jumps()).toBe(1);
  });

  test('what is rolled back leaves no jump behind; the next commit makes it', async () => {
    const lease = await newSource(pool, 'a');
    await loseCommits(pool, 0);
    await withLock(pool, 'update feed_head set position = position + 1', async () => {});
    expect(await jumps()).toBe(0);
    await commitAll(pool, lease, [ids(1, 1)]);
    expect(await positions()).toEqual([(await lastJump(pool)).to + 1]);
    expect(await jumps()).toBe(1);
  });

  test('a database that was just migrated only notes the timeline', async () => {
    await pool.query('update feed_head set timeline = null, timeline_since = null');
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 3)]);
    expect(await positions()).toEqual([1, 2, 3]);
    expect((await head()).timeline).toMatch(/^[0-9A-F]{8} \d+ \d+$/);
  });

  test('a table that was created again, as by restoring a dump, is another one', async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 3)]);
    await pool.query(`create table copied as select * from feed_head`);
    const { rows } = await pool.query<{ definition: string }>(
      "select pg_get_triggerdef(oid) as definition from pg_trigger where tgname = 'timeline_is_watched'",
    );
    await pool.query('drop table feed_head cascade');
    await pool.query(`alter table copied rename to feed_head; ${rows[0]?.definition}`);
    await commitAll(pool, await takeLease(pool, 'a'), [ids(4, 4)]);
    expect((await lastJump(pool)).from).toBe(3);
  });

  test('a server that does not tell its timeline for one statement has not changed', async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 3)]);
    const { rows } = await pool.query<{ definition: string }>(
      "select pg_get_functiondef('orgtrail_timeline'::regproc) as definition",
    );
    const definition = rows[0]?.definition.replace('orgtrail_timeline', 'as_told') ?? '';
    await pool.query(`create sequence calls; ${definition};
      create or replace function orgtrail_timeline(head oid) returns text language sql as
        $$ select case when nextval('calls') > 1 then as_told(head) end $$`);
    await pool.query('update feed_head set position = position');
    expect(await jumps()).toBe(0);
  });

  test('a new connection lets positions jump before anything is committed, and says so', async () => {
    await loseCommits(pool, 0);
    const warnings = await connectOnce();
    const { to } = await lastJump(pool);
    expect(warnings).toEqual([expect.stringContaining(`positions go on after ${to} instead of 0`)]);
    expect(await head()).toMatchObject({ position: to });
    expect(await connectOnce()).toEqual([]);
    expect(await jumps()).toBe(1);
  });

  test('a read-only connection changes nothing, and works', async () => {
    await loseCommits(pool, 0);
    const more = database.url.includes('?') ? '&' : '?';
    expect(await connectOnce(`${database.url}${more}options=-c%20default_transaction_read_only%3Don`)).toEqual([]);
    expect(await jumps()).toBe(0);
  });

  test('every account can read the timeline; where a server does not tell it, commits go on', async () => {
    await using login = await createLogin(database);
    const [oid] = (await pool.query<{ oid: number }>("select 'feed_head'::regclass::oid as oid")).rows;
    await pool.query('grant execute on function orgtrail_timeline to public');
    const timeline = async () =>
      (await login.pool.query('select orgtrail_timeline($1) as timeline', [oid?.oid])).rows[0].timeline;
    expect(await timeline()).toBe((await head()).timeline);
    await pool.query('revoke execute on function pg_control_system() from public');
    expect(await timeline()).toMatch(/^[0-9A-F]{8} \d+$/);
    await pool.query('revoke execute on function pg_walfile_name(pg_lsn) from public');
    expect(await timeline()).toBe(null);

    await pool.query(
      'create or replace function orgtrail_timeline(head oid) returns text language sql as $$ select null $$',
    );
    await loseCommits(pool, 0);
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 2)]);
    expect(await positions()).toEqual([1, 2]);
    expect(await connectOnce()).toEqual([]);
  });

  test('a number that a lost drop had is not given to a jump', async () => {
    await pool.query("select setval('retention_drops_id_seq', 7)");
    await loseCommits(pool, 0);
    await connectOnce();
    expect((await lastJump(pool)).id).toBeGreaterThan(1_000);
  });
});

describe('what counts positions knows of jumps', () => {
  /** Positions 1 to 4, then a jump, then ten more. */
  const jumped = async () => {
    await commitAll(pool, await newSource(pool, 'a'), [ids(1, 6)]);
    await loseCommits(pool, 4);
    await age('1 year');
    await commitAll(pool, await takeLease(pool, 'a'), [ids(5, 14)]);
    return (await lastJump(pool)).to;
  };
  const range = { maxEvents: 100, maxBytes: 1_000_000, until: undefined };

  test('positions are counted without it', async () => {
    const to = await jumped();
    expect(await countPositions(pool, 0, to + 10)).toBe(14);
    expect(await countPositions(pool, 2, to + 1)).toBe(3);
    expect(await countPositions(pool, to + 1, 2)).toBe(-3);
    expect(await countPositions(pool, to + 1, to + 3)).toBe(2);
    const simulator = { truth: () => [], summary: () => ({ organizations: [], accounts: [] }) } as never;
    expect(await compareWithTruth(pool, simulator)).toMatchObject({ stored: 14, positionsMissing: 0 });
  });

  test('a sink counts what is before it without it, and steps over it in one statement, also when it selects nothing', async () => {
    const to = await jumped();
    await pool.query("insert into sinks (name, kind, target, position) values ('siem', 'file', '/x', 4)");
    const [status] = await readSinkStatus(pool, ['siem']);
    expect(status).toMatchObject({ lagEvents: 10 });
    expect(status?.lagSeconds).toBeGreaterThan(0);
    const all = await readFeedEvents(pool, { ...range, after: 4, organizationIds: undefined });
    expect(all.events.map(({ position }) => position - to)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const none = await readFeedEvents(pool, { ...range, after: 4, organizationIds: ['unknown'] });
    expect(none).toMatchObject({ events: [], scannedTo: to + 10 });
  });

  test('a reader with a filter that nothing meets steps over it in one statement', async () => {
    const to = await jumped();
    const none = { after: 4, until: to + 10, organizationIds: ['unknown'] };
    const chunk = await eachFeedRow(pool, none, { maxEvents: 100, maxBytes: 1_000_000 }, () => 0);
    expect(chunk).toEqual({ until: to, events: 0, lackingBytes: 0 });
  });

  test('the end of a request for some events lies behind as many events', async () => {
    const to = await jumped();
    const all = { after: 1, until: to + 10, organizationIds: undefined };
    expect(await positionOfNth(pool, all, 3)).toBe(4);
    expect(await positionOfNth(pool, all, 5)).toBe(to + 2);
    expect(await positionOfNth(pool, { ...all, organizationIds: ['a'] }, 5)).toBe(to + 2);
    expect(await positionOfNth(pool, { ...all, organizationIds: ['unknown'] }, 5)).toBe(to + 10);
  });
});
test('as much as can be given out at all is less than what is left out, also for a second standby that knows of no jump (invariant 6)', async () => {
  const kept = await headRow();
  /** All at once, and some more, as fast as positions are given out. */
  const giveOut = async (times: number) => {
    for (let count = 0; count < times; count += 1)
      await pool.query('update feed_head set position = position + 110000');
    return (await headRow()).position;
  };
  const lost = await giveOut(5);
  expect(lost - kept.position).toBe(5 * 110_000);
  await promote(kept);
  const jumped = (await headRow()).position;
  expect(jumped).toBeGreaterThan(lost);
  const lostAgain = await giveOut(1);
  await promote(kept);
  expect((await headRow()).position).toBeGreaterThan(lostAgain);
});

test('positions are given out at a pace, after a quiet time many at once', async () => {
  const now = async () =>
    (await pool.query<{ at: number }>('select extract(epoch from clock_timestamp())::float8 as at')).rows[0]?.at ?? 0;
  // From before the first: in each second that a busy machine takes, as many more may be given out.
  const beganAt = await now();
  await pool.query('update feed_head set position = position + 200000');
  await pool.query(`update feed_head set position = position + ${CREDIT - 200_000}`);
  // Whatever version gives them out, and however many do at once.
  await Promise.all(Array.from({ length: 3 }, () => pool.query(`update feed_head set position = position + ${PACE}`)));
  const credited = (await now()) - beganAt;
  await pool.query(`update feed_head set position = position + ${PACE}`);
  expect((await now()) - beganAt).toBeGreaterThan(1);
  expect(credited).toBeLessThan(600);
  // A clock that went back holds nothing up.
  await pool.query(`update feed_head set paced_until = paced_until + interval '1 day'`);
  await pool.query('update feed_head set position = position + 1');
  expect((await headRow()).paced_until.getTime()).toBeLessThan(Date.now() + 3_600_000);
});

const LEAST_JUMP = 250_000;
/** What may be given out at once after a quiet time is a part of each jump. */
const CREDIT = 500_000;
const PER_SECOND = 25_000;

const positions = async (): Promise<readonly number[]> => {
  const { rows } = await pool.query<{ position: number }>(
    'select position::float8 as position from audit_events order by position',
  );
  return rows.map(({ position }) => position);
};

const head = async () => {
  const { rows } = await pool.query<{ position: number; timeline: string | null }>(
    'select position::float8 as position, timeline from feed_head',
  );
  return rows[0] ?? { position: 0, timeline: null };
};

const jumps = async () => {
  const { rows } = await pool.query<{ count: number }>('select count(*)::integer as count from position_jumps');
  return rows[0]?.count ?? 0;
};

/** Connects once, and gives what that let the server warn of. */
const connectOnce = async (url = database.url): Promise<readonly string[]> => {
  const warnings: string[] = [];
  const own = createPool(
    url,
    1,
    () => {},
    (words) => warnings.push(words),
  );
  await own.query('select');
  await own.end();
  return warnings;
};

/** So many in a second. */
const PACE = 20_000;

interface HeadRow {
  readonly position: number;
  readonly alive_at: Date;
  readonly paced_until: Date;
}

const headRow = async (): Promise<HeadRow> => {
  const { rows } = await pool.query<HeadRow>(
    'select position::float8 as position, alive_at, paced_until from feed_head',
  );
  if (rows[0] === undefined) throw new Error('there is no head');
  return rows[0];
};

/** Leaves the row as a standby has it that saw no more than this, and lets it take over. */
const promote = async ({ position, alive_at, paced_until }: HeadRow) => {
  await pool.query(
    `update feed_head set position = $1, alive_at = $2, paced_until = $3, timeline = 'of the lost server'`,
    [position, alive_at, paced_until],
  );
  await pool.query('select orgtrail_check_timeline()');
};
