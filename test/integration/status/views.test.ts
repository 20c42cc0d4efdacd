import { beforeAll, describe, expect, test } from 'vitest';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { PageCommit } from '../../../src/ingest/planning/source.ts';
import type { Lane } from '../../../src/ingest/planning/walk.ts';
import { recordDiscovery } from '../../../src/ingest/sync/discovery/lease.sql.ts';
import { recordAccess } from '../../../src/ingest/sync/discovery/organizations.sql.ts';
import { recordFailure } from '../../../src/ingest/sync/store/leases.sql.ts';
import { syncSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { countOrganizations, readStatus } from '../../../src/status/status.sql.ts';
import { committed } from '../../support/postgres/committed.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import {
  addSources,
  anyWalk,
  commit,
  entryText,
  FILTERS,
  HISTORY_MS,
  newSource,
  organizationKind,
  seconds,
  T0,
  takeLease,
  walking,
} from '../../support/postgres/store-fixture.ts';
import { claimAsVersion01 } from '../../support/process/version-0-1.ts';

const HOUR = 3_600;
const pool = poolOfTests();
/** The moment that hand-made coverage is relative to. */
let nowMs: number;
beforeAll(async () => {
  const { rows } = await pool.query<{ now: number }>('select floor(extract(epoch from now()))::float8 as now');
  nowMs = (rows[0]?.now ?? 0) * 1_000;
  await addSources(pool, ['hole', 'unread', 'read', 'ahead', 'gone']);
  // Wanted: the last ten hours.
  await syncSources(pool, organizationKind(FILTERS, nowMs - 10 * HOUR * 1_000), 0, HISTORY_MS);
  await cover('hole', [
    [9, 5],
    [2, 1],
  ]);
  await cover('read', [[12, 0]]);
  await cover('ahead', [[10, -24]]);
  await pool.query("update organizations set state = 'gone' where id = 'gone'");
});

describe('coverage_gaps', () => {
  const gapsOf = async (id: string) => {
    const { rows } = await pool.query<{ since: Date; before: Date; seconds: number }>(
      'select since, before, extract(epoch from duration)::float8 as seconds from coverage_gaps where source_id = $1 order by since',
      [id],
    );
    return rows.map((row) => [(nowMs - row.since.getTime()) / 1_000 / HOUR, row.seconds] as const);
  };

  test('lists what has not been read, from the horizon to now', async () => {
    const gaps = await gapsOf('hole');
    expect(gaps.map(([since]) => since)).toEqual([10, 5, 1]);
    expect(gaps.slice(0, 2).map(([, seconds]) => seconds)).toEqual([HOUR, 3 * HOUR]);
    expect(gaps[2]?.[1]).toSatisfy(about(1));
  });

  test('lists all of a source that has never been read, and only the last moment of one that has', async () => {
    const unread = await gapsOf('unread');
    expect(unread.map(([since]) => since)).toEqual([10]);
    expect(unread[0]?.[1]).toSatisfy(about(10));
    const read = await gapsOf('read');
    expect(read.every(([since, seconds]) => since === 0 && seconds <= SLACK)).toBe(true);
    expect(await gapsOf('ahead')).toEqual([]);
  });

  test('leaves out organizations that are gone, and what was read under other filters', async () => {
    expect(await gapsOf('gone')).toEqual([]);
    await cover('unread', [[10, 0]], 'other filters');
    expect((await gapsOf('unread'))[0]?.[1]).toSatisfy(about(10));
  });
});

describe('sync_status', () => {
  test.each([
    ['hole', 1, 5],
    ['unread', 10, 10],
    ['read', 0, 0],
    ['ahead', 0, 0],
  ])('says that the source "%s" lags %i h and lacks %i h', async (id, lag, gap) => {
    const status = await statusOf(id);
    expect(status.lag_seconds).toSatisfy(about(lag));
    expect(status.gap_seconds).toSatisfy(about(gap));
    expect(status.lag_seconds).toBeLessThanOrEqual(status.gap_seconds + 0.001);
  });

  test('counts down to the moment from which the oldest gap is lost permanently', async () => {
    const goneOf = async (id: string) => 548 * 24 * HOUR - Number((await statusOf(id)).retention_slack_seconds);
    expect(await goneOf('unread')).toSatisfy(about(10));
    expect(await goneOf('ahead')).toSatisfy(about(0));
  });

  test.each([
    ['unread from before the retention on', 30, [[500, 0]], 0],
    ['unread before the retention alone', 30, [[549, 0]], 548],
    [
      'unread until a moment inside of it',
      0,
      [
        [548, 541],
        [540, 0],
      ],
      7,
    ],
    ['never read, all of it wanted', 0, [], 0],
    ['with an hour of horizon that is not wanted any more', 1 / 24, [[548, 0]], 548],
  ] as const)('counts down what can still be read: %s', async (what, wantedEarlierDays, coveredDays, slackDays) => {
    await newSource(pool, what);
    await cover(
      what,
      coveredDays.map(([from, to]) => [from * 24, to * 24] as const),
    );
    await pool.query('update sources set wanted_since = to_timestamp($2::float8 / 1000) where id = $1', [
      what,
      nowMs - (548 + wantedEarlierDays) * 24 * HOUR * 1_000,
    ]);
    const { retention_slack_seconds: slack } = await statusOf(what);
    // What lies at the very edge moves out of the retention while this runs.
    expect(slack).toBeGreaterThanOrEqual(Math.max(0, slackDays * 24 * HOUR - SLACK));
    expect(slack).toBeLessThanOrEqual(slackDays * 24 * HOUR + 1);
    await forget(what);
  });

  test('gap and lag follow the horizon as it moves, from the first minute on (D12)', async () => {
    await newSource(pool, 'moving');
    const moved = async (wantedSinceHours: number, history: string | null) => {
      await pool.query(
        'update sources set wanted_since = to_timestamp($1::float8 / 1000), wanted_history = $2::interval where id = $3',
        [nowMs - wantedSinceHours * HOUR * 1_000, history, 'moving'],
      );
      const { rows } = await pool.query<{ hours: number }>(
        `select extract(epoch from now() - since)::float8 / 3600 as hours from coverage_gaps where source_id = 'moving' order by 1`,
      );
      const { gap_seconds: gap, lag_seconds: lag } = await statusOf('moving');
      return { gap, lag, oldestHours: rows.at(-1)?.hours };
    };
    const unread = await moved(10.9, '10 hours');
    expect(unread.oldestHours, 'to the moment').toBeCloseTo(10, 6);
    expect([unread.gap, unread.lag]).toEqual([expect.closeTo(10 * HOUR, 3), expect.closeTo(10 * HOUR, 3)]);
    await cover('moving', [[10, 0]]);
    const read = await moved(10.9, '10 hours');
    expect(read.gap, 'but for what is to be read now').toSatisfy(about(0));
    expect(read.oldestHours ?? 0).toBeLessThan(SLACK / HOUR);
    expect((await moved(10.9, null)).gap, 'as version 0.1 leaves it').toSatisfy(about(0.9));
    expect((await moved(2, '10 hours')).gap, 'a start that was configured').toSatisfy(about(0));
    await forget('moving');
  });

  test("the last success is the live lane's progress; what else succeeds or only goes on does not move it (D13)", async () => {
    const at = async () => (await statusOf('progress')).last_success_at?.getTime();
    let lease = await newSource(pool, 'progress');
    const done = async (entries: readonly string[], more: Partial<PageCommit>) => {
      ({ lease } = await committed(pool, lease, entries, more));
    };
    await done([], { state: walking(anyWalk('a')) });
    expect(await at(), 'nothing new, nothing read to its end').toBeUndefined();
    await done([entryText('progress-1')], { lane: 'backfill' });
    const ofBackfill = await at();
    expect(ofBackfill, 'while the live lane has none').toBeGreaterThan(0);
    await done([entryText('progress-2')], {});
    const stored = await at();
    expect(stored).toBeGreaterThan(ofBackfill ?? Number.NaN);
    await done([entryText('progress-2')], {});
    await done([entryText('progress-3')], { lane: 'backfill', claims: [seconds(0, 1)] });
    const failure = { failure: 'server', message: '502', backoffMs: 1_000, filterHash: FILTERS };
    await recordFailure(pool, lease, { ...failure, lane: 'live', state: { ...idleLane, failures: 1 } });
    await done([], { state: { ...idleLane, failures: 2 } });
    expect(await at()).toBe(stored);
    await done([], { claims: [seconds(1, 2)] });
    expect(await at()).toBeGreaterThan(stored ?? Number.NaN);
    await forget('progress');
  });

  test('names the lanes that fail, with the trouble of the worst; counts holes of the first reading, and unproven time', async () => {
    const lease = await newSource(pool, 'troubled');
    await syncSources(pool, organizationKind(FILTERS, nowMs - 10 * HOUR * 1_000), 0, HISTORY_MS);
    const wanted = [{ fromMs: nowMs - 12 * HOUR * 1_000, toMs: nowMs - 4 * HOUR * 1_000 }];
    await claimAsVersion01(pool, lease, [wanted]);
    const proven = [{ fromMs: nowMs - 5 * HOUR * 1_000, toMs: nowMs }];
    const hole = (pass: number, hours: number) => {
      const fromMs = nowMs - hours * HOUR * 1_000;
      return { range: { fromMs, toMs: fromMs + 1_000 }, pass, reason: 'server', message: 'no' };
    };
    const holes = [hole(0, 8), hole(0, 9), hole(0, 11), hole(1, 6)];
    const done = await committed(pool, lease, [], { claims: [proven], holes });
    await commit(pool, done.lease, [], { holes: [hole(0, 7)], filterHash: 'other filters' });
    const fail = async (lane: Lane, failures: number, message: string, filterHash = FILTERS) => {
      const failure = { failure: 'server', message, backoffMs: failures * 60_000, filterHash };
      await recordFailure(pool, lease, { ...failure, lane, state: { ...idleLane, failures } });
    };
    await fail('settle', 2, 'of settle');
    await fail('backfill', 5, 'of backfill');
    await fail('live', 9, 'under other filters', 'other filters');
    const status = await statusOf('troubled');
    expect(status).toMatchObject({
      failures: 5,
      failing_lanes: 'backfill,settle',
      last_failure: 'server',
      last_error: 'of backfill',
      // The one of eleven hours ago is not wanted.
      holes: 2,
      // Of the six hours of version 0.1 that are wanted, one has been proven since.
      unproven_seconds: expect.closeTo(5 * HOUR, -2),
    });
    const { rows } = await pool.query(
      "select next_attempt_at from lanes where source_id = 'troubled' and lane = 'settle'",
    );
    expect(status.next_attempt_at, 'the next of them').toEqual(rows[0].next_attempt_at);
    expect(await statusOf('read')).toMatchObject({ failures: 0, failing_lanes: null, holes: 0, unproven_seconds: 0 });
    await forget('troubled');
  });

  test('shows open walks, failures and the holder', async () => {
    const lease = await newSource(pool, 'busy');
    await syncSources(pool, organizationKind(FILTERS, nowMs - 10 * HOUR * 1_000), 0, HISTORY_MS);
    const first = await committed(pool, lease, [], { state: walking(anyWalk('a', { pages: 3, entries: 30 })) });
    const walk = anyWalk('b', { lane: 'backfill', pages: 4, entries: 5_000_000_000 });
    const second = await committed(pool, first.lease, [], { lane: 'backfill', state: walking(walk) });
    const failure = { failure: 'server', message: '502', backoffMs: 1_000, filterHash: FILTERS };
    await recordFailure(pool, second.lease, { ...failure, lane: 'backfill', state: { ...walking(walk), failures: 1 } });
    expect(await statusOf('busy')).toMatchObject({
      open_walks: 2,
      walking_pages: 7,
      walking_entries: '5000000030',
      failures: 1,
      last_failure: 'server',
      last_error: '502',
      failing_lanes: 'backfill',
      lease_owner: lease.owner,
    });
    expect(await statusOf('read')).toMatchObject({ open_walks: 0, walking_pages: null });
  });
});

describe('the status as the commands and the health endpoint read it', () => {
  test('has the feed, the discovery and every source that is still there', async () => {
    expect((await readStatus(pool)).discovery).toMatchObject({ lastSuccessAt: null, ageSeconds: null });
    await recordDiscovery(pool, 'host/1/me', { organizations: 5, serverTimeMs: 0 });
    await recordAccess(pool, 'unread', 'refused');
    const { position: before } = await readStatus(pool);
    await commit(pool, await takeLease(pool, 'read'), [entryText('one', nowMs - HOUR * 1_000), entryText('two', T0)]);
    const status = await readStatus(pool);
    expect(status).toMatchObject({
      feedId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      position: before + 2,
      discovery: { organizations: 5, lastError: null, lastSuccessAt: expect.any(Date) },
    });
    expect(status.discovery.ageSeconds).toBeLessThan(SLACK);
    const sources = new Map(status.sources.map((source) => [source.id, source]));
    expect(sources.has('gone')).toBe(false);
    expect(sources.get('unread')).toMatchObject({ refused: true, organizationState: 'refused' });
    const read = sources.get('read');
    expect(read).toMatchObject({ refused: false, organizationName: 'Name of read', failures: 0, openWalks: 0 });
    expect(read?.sinceLastEventSeconds).toSatisfy(about(1));
    expect(typeof read?.leaseEpoch).toBe('number');
    expect(sources.get('hole')).toMatchObject({ sinceLastEventSeconds: null });
    expect((await readStatus(pool)).feedId).toBe(status.feedId);
  });

  test('may be limited to an allow-list', async () => {
    const { sources } = await readStatus(pool, { organizationIds: ['read', 'gone', 'unknown'] });
    expect(sources.map((source) => source.id)).toEqual(['read']);
  });

  test('counts organizations by state, the gone ones too', async () => {
    const counts = await countOrganizations(pool);
    expect(counts).toEqual({ active: 4, refused: 1, gone: 1 });
  });
});

test('audit_history names the organization, and shows request and response', async () => {
  const lease = await takeLease(pool, 'hole');
  const resource = { request: { a: [1] }, response: 'text', scope: { kind: 'zone' } };
  await commit(pool, lease, [entryText('shown', T0, { resource })]);
  const { rows } = await pool.query("select * from audit_history where id = 'shown'");
  expect(rows).toMatchObject([
    {
      organization_name: 'Name of hole',
      action_type: 'create',
      request: { a: [1] },
      response: 'text',
      resource_scope: '{"kind": "zone"}',
      payload: { id: 'shown', resource },
      defects: null,
    },
  ]);
});

/** Seconds that a test may take between what it writes and what it reads. */
const SLACK = 900;

/** Claims stretches for the first reading, given as hours before now. */
const cover = async (id: string, hours: readonly (readonly [number, number])[], filterHash = FILTERS) => {
  const ranges = hours.map(([from, to]) => ({ fromMs: nowMs - from * HOUR * 1_000, toMs: nowMs - to * HOUR * 1_000 }));
  await commit(pool, await takeLease(pool, id), [], { claims: [ranges, ranges], filterHash });
};

const about = (hours: number) => (seconds: number) => seconds >= hours * HOUR - 1 && seconds <= hours * HOUR + SLACK;

/** The other tests count organizations. */
const forget = async (id: string) => {
  for (const table of ['coverage', 'coverage_holes', 'lanes', 'audit_events'])
    await pool.query(`delete from ${table} where source_id = $1`, [id]);
  for (const table of ['sources', 'organizations']) await pool.query(`delete from ${table} where id = $1`, [id]);
};

const statusOf = async (id: string) => {
  const { rows } = await pool.query('select * from sync_status where source_id = $1', [id]);
  return rows[0];
};
