import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordDiscovery } from '../../../src/store/discovery-lease.ts';
import { recordAccess } from '../../../src/store/organizations.ts';
import { recordFailure, syncSources } from '../../../src/store/sources.ts';
import { countOrganizations, readStatus } from '../../../src/store/status.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  addSources,
  anyWalk,
  commit,
  entryText,
  FILTERS,
  newSource,
  T0,
  takeLease,
} from '../../support/store-fixture.ts';

const HOUR = 3_600;
/** Seconds that a test may take between what it writes and what it reads. */
const SLACK = 900;

let database: TestDatabase;
/** The moment that hand-made coverage is relative to. */
let nowMs: number;
beforeAll(async () => {
  database = await createTestDatabase();
  const { rows } = await database.pool.query<{ now: number }>('select floor(extract(epoch from now()))::float8 as now');
  nowMs = (rows[0]?.now ?? 0) * 1_000;
  await addSources(database.pool, ['hole', 'unread', 'read', 'ahead', 'gone']);
  // Wanted: the last ten hours.
  await syncSources(database.pool, FILTERS, nowMs - 10 * HOUR * 1_000);
  await cover('hole', [
    [9, 5],
    [2, 1],
  ]);
  await cover('read', [[12, 0]]);
  await cover('ahead', [[10, -24]]);
  await database.pool.query("update organizations set state = 'gone' where id = 'gone'");
});
afterAll(async () => {
  await database?.close();
});

/** Claims stretches for the first reading, given as hours before now. */
const cover = async (id: string, hours: readonly (readonly [number, number])[], filterHash = FILTERS) => {
  const ranges = hours.map(([from, to]) => ({
    fromMs: nowMs - from * HOUR * 1_000,
    toMs: nowMs - to * HOUR * 1_000,
  }));
  await commit(database.pool, await takeLease(database.pool, id), [], { claims: [ranges, ranges], filterHash });
};

const about = (hours: number) => (seconds: number) => seconds >= hours * HOUR - 1 && seconds <= hours * HOUR + SLACK;

const statusOf = async (id: string) => {
  const { rows } = await database.pool.query('select * from sync_status where source_id = $1', [id]);
  return rows[0];
};

describe('coverage_gaps', () => {
  const gapsOf = async (id: string) => {
    const { rows } = await database.pool.query<{ since: Date; before: Date; seconds: number }>(
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
  for (const [id, lag, gap] of [
    ['hole', 1, 5],
    ['unread', 10, 10],
    ['read', 0, 0],
    ['ahead', 0, 0],
  ] as const) {
    test(`says that the source "${id}" lags ${lag} h and lacks ${gap} h`, async () => {
      const status = await statusOf(id);
      expect(status.lag_seconds).toSatisfy(about(lag));
      expect(status.gap_seconds).toSatisfy(about(gap));
      expect(status.lag_seconds).toBeLessThanOrEqual(status.gap_seconds + 0.001);
    });
  }

  test('counts down to the moment from which the oldest gap is lost for ever', async () => {
    const retentionHours = 548 * 24;
    const unread = retentionHours * HOUR - Number((await statusOf('unread')).retention_slack_seconds);
    expect(unread, 'already gone').toSatisfy(about(10));
    const ahead = retentionHours * HOUR - Number((await statusOf('ahead')).retention_slack_seconds);
    expect(ahead, 'already gone').toSatisfy(about(0));
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
    ['with an hour of horizon that nobody wants any more', 1 / 24, [[548, 0]], 548],
  ] as const)('counts down what can still be had: %s', async (what, wantedEarlierDays, coveredDays, slackDays) => {
    const { pool } = database;
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
    // The other tests count organizations.
    await pool.query('delete from coverage where source_id = $1', [what]);
    await pool.query('delete from sources where id = $1', [what]);
    await pool.query('delete from organizations where id = $1', [what]);
  });

  test('shows open walks, failures and the holder', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'busy');
    await syncSources(pool, FILTERS, nowMs - 10 * HOUR * 1_000);
    const first = await commit(pool, lease, [], { walk: anyWalk('a', { pages: 3, entries: 30 }) });
    if (first.kind !== 'committed') throw new Error('fenced');
    const walk = anyWalk('b', { lane: 'backfill', pages: 4, entries: 5_000_000_000 });
    const second = await commit(pool, first.lease, [], { lane: 'backfill', walk });
    if (second.kind !== 'committed') throw new Error('fenced');
    await recordFailure(pool, second.lease, { failure: 'server', message: '502', backoffMs: 1_000, failures: 1 });
    expect(await statusOf('busy')).toMatchObject({
      open_walks: 2,
      walking_pages: 7,
      walking_entries: '5000000030',
      failures: 1,
      last_failure: 'server',
      last_error: '502',
      lease_owner: lease.owner,
    });
    expect(await statusOf('read')).toMatchObject({ open_walks: 0, walking_pages: null });
  });
});

describe('the status as the verbs and the health endpoint read it', () => {
  test('has the feed, the discovery and every source that is still there', async () => {
    const { pool } = database;
    expect((await readStatus(pool, undefined)).discovery).toMatchObject({ lastSuccessAt: null, ageSeconds: null });
    await recordDiscovery(pool, 'host/1/me', { organizations: 5, serverTimeMs: 0 });
    await recordAccess(pool, 'unread', 'refused');
    await commit(pool, await takeLease(pool, 'read'), [entryText('one', nowMs - HOUR * 1_000), entryText('two', T0)]);
    const status = await readStatus(pool, undefined);
    expect(status).toMatchObject({
      feedId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      position: 2,
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
    expect((await readStatus(pool, undefined)).feedId).toBe(status.feedId);
  });

  test('may be limited to an allow-list', async () => {
    const { sources } = await readStatus(database.pool, ['read', 'gone', 'nobody']);
    expect(sources.map((source) => source.id)).toEqual(['read']);
  });

  test('counts organizations by state, the gone ones too', async () => {
    const counts = await countOrganizations(database.pool);
    expect(counts).toEqual({ active: 4, refused: 1, gone: 1 });
  });
});

test('audit_history names the organization, and shows request and response', async () => {
  const { pool } = database;
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
