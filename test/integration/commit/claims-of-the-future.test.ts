import { beforeEach, describe, expect, test } from 'vitest';
import type { Range } from '../../../src/ingest/planning/coverage.ts';
import { recordDiscovery } from '../../../src/ingest/sync/discovery/lease.sql.ts';
import { loadSources, readTime, trimFuture } from '../../../src/ingest/sync/store/sources.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { rowsOf } from '../../support/postgres/rows.ts';
import {
  commit,
  FILTERS,
  newSource,
  organizationKind,
  scopeOf,
  seconds,
} from '../../support/postgres/store-fixture.ts';
import { claimAsVersion01 } from '../../support/process/version-0-1.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);

beforeEach(async () => {
  await pool.query('truncate coverage, discovery; insert into discovery default values');
});

describe('invariant 8: coverage claims nothing of the future', () => {
  test('what a commit claims beyond now is cut, in every pass, however wrong the clock is that it was made with (invariant 8)', async () => {
    const lease = await newSource(pool, 'ahead');
    const beforeMs = await databaseMs();
    const tomorrow = { fromMs: beforeMs + 24 * HOUR_MS, toMs: beforeMs + 48 * HOUR_MS };
    await commit(pool, lease, [], { claims: [untilHours(beforeMs, 1), untilHours(beforeMs, 25), [tomorrow]] });
    const afterMs = await databaseMs();
    const ends = await endsOf('ahead');
    expect(ends, 'nothing of tomorrow').toHaveLength(2);
    for (const { ms, proven } of ends) {
      expect(ms).toBeGreaterThanOrEqual(beforeMs + AHEAD_MS);
      expect(ms).toBeLessThanOrEqual(afterMs + AHEAD_MS);
      expect(Number.isInteger(ms), 'a whole millisecond').toBe(true);
      expect(proven).toBe(true);
    }
  });

  test('what version 0.1 has claimed is covered and not proven', async () => {
    const lease = await newSource(pool, 'of 0.1');
    await claimAsVersion01(pool, lease, [seconds(0, 10), seconds(0, 5)]);
    const [source] = await loadSources(pool, ME, organizationKind(), scopeOf(['of 0.1']));
    expect(source?.coverage).toEqual([seconds(0, 10), seconds(0, 5)]);
    await commit(pool, lease, [], { claims: [seconds(8, 12)] });
    const { rows } = await pool.query(
      `select pass, ranges = tstzmultirange(tstzrange(t, t + interval '12 seconds')) as covered,
         proven = tstzmultirange(tstzrange(t + interval '8 seconds', t + interval '12 seconds')) as proven, isempty(proven) as nothing
       from coverage, lateral (select lower(ranges) as t) at where source_id = 'of 0.1' order by pass`,
    );
    expect(rows).toMatchObject([
      { covered: true, proven: true },
      { covered: false, nothing: true },
    ]);
  });

  test('what version 0.1 claimed of the future is taken back: each pass to its delay before now, and counted once', async () => {
    const lease = await newSource(pool, 'trimmed');
    const nowMs = await databaseMs();
    await claimAsVersion01(pool, lease, [untilHours(nowMs, 3), untilHours(nowMs, 0), untilHours(nowMs, -1)]);
    await commit(pool, lease, [], { claims: [seconds(0, 1)] });
    const delaysMs = [0, 10 * MINUTE_MS, HOUR_MS];
    expect(await trimFuture(pool, delaysMs)).toBe(2);
    const afterMs = await databaseMs();
    const [first, second, third] = await endsOf('trimmed');
    for (const [end, delayMs] of [
      [first, 0],
      [second, 10 * MINUTE_MS],
    ] as const) {
      expect(end?.ms).toBeGreaterThanOrEqual(nowMs + AHEAD_MS - delayMs);
      expect(end?.ms).toBeLessThanOrEqual(afterMs + AHEAD_MS + 1_000 - delayMs);
      expect(Number.isInteger(end?.ms), 'a whole millisecond').toBe(true);
    }
    expect(third?.ms, 'not ahead').toBe(nowMs - HOUR_MS);
    const [source] = await loadSources(pool, ME, organizationKind(), scopeOf(['trimmed']));
    expect(source?.coverage[0]?.[0], 'of the past nothing is taken').toEqual(seconds(0, 1)[0]);
    expect(await trimFuture(pool, delaysMs)).toBe(0);
  });

  test('coverage that is all of the future becomes none, and none is not trimmed again', async () => {
    const nowMs = await databaseMs();
    const tomorrow = [{ fromMs: nowMs + 24 * HOUR_MS, toMs: nowMs + 48 * HOUR_MS }];
    await claimAsVersion01(pool, await newSource(pool, 'tomorrow'), [tomorrow]);
    expect(await trimFuture(pool, [0])).toBe(1);
    expect(await trimFuture(pool, [0])).toBe(0);
    expect((await loadSources(pool, ME, organizationKind(), scopeOf(['tomorrow'])))[0]?.coverage).toEqual([[]]);
  });
});

describe("the time by the database's clock", () => {
  test("is Cloudflare's at the last listing and what has passed since then, in whole milliseconds", async () => {
    expect(await readTime(pool)).toMatchObject({ serverMs: undefined });
    const listedMs = Date.UTC(2026, 0, 10, 12);
    await recordDiscovery(pool, ME, { organizations: 1, serverTimeMs: listedMs });
    await pool.query("update discovery set last_success_at = last_success_at - interval '5 minutes'");
    const { serverMs = Number.NaN, databaseMs } = await readTime(pool);
    expect(serverMs - listedMs).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    const { rows } = await pool.query<{ passed: number }>(
      'select extract(epoch from clock_timestamp() - last_success_at)::float8 * 1000 as passed from discovery',
    );
    expect(serverMs - listedMs).toBeLessThanOrEqual(rows[0]?.passed ?? 0);
    expect([Number.isInteger(serverMs), Number.isInteger(databaseMs)]).toEqual([true, true]);
  });

  test('goes on from the last listing that succeeded, whatever has failed since', async () => {
    await recordDiscovery(pool, ME, { organizations: 1, serverTimeMs: Date.UTC(2026, 0, 10) });
    const first = await readTime(pool);
    await recordDiscovery(pool, ME, { error: 'no bytes' });
    const second = await readTime(pool);
    expect(second.serverMs).toBeGreaterThanOrEqual(first.serverMs ?? Number.NaN);
    expect((second.serverMs ?? 0) - second.databaseMs).toBeCloseTo((first.serverMs ?? 0) - first.databaseMs, -1);
  });
});

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** So far may a server be ahead of the database; trimming leaves a second more. */
const AHEAD_MS = MINUTE_MS;
const ME = 'host/1/test';

const databaseMs = async (): Promise<number> => (await readTime(pool)).databaseMs;

/** From two hours ago, as the database puts it, until then. */
const untilHours = (nowMs: number, hours: number): Range[] => [
  { fromMs: nowMs - 2 * HOUR_MS, toMs: nowMs + hours * HOUR_MS },
];

/** The end of what each pass covers, in whole milliseconds, and whether all of it is proven. */
const endsOf = (id: string) =>
  rowsOf<{ ms: number; proven: boolean }>(
    pool,
    `select extract(epoch from upper(ranges))::float8 * 1000 as ms, proven = ranges as proven
     from coverage where source_id = $1 and filter_hash = $2 order by pass`,
    [id, FILTERS],
  );
