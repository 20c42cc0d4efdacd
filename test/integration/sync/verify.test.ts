import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import type { SyncContext } from '../../../src/ingest/sync/ports.ts';
import type { SourceVerification, VerifyOptions } from '../../../src/ingest/verify/comparison.ts';
import { findScope, verifySources } from '../../../src/ingest/verify/verify.ts';
import { createVerifyStore, type VerifyStore } from '../../../src/ingest/verify/verify-store.sql.ts';
import { sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { auditRequests, cycleUntilClean, openWorld, type SyncRun } from '../../support/sync/sync-world.ts';

describe.concurrent('verifying', () => {
  test('in sections, also in very small ones: each entry is counted once', async () => {
    await using world = await openWorld({
      organizations: 1,
      entries: 150,
      faults: { equal_timestamps: 0.5, defectRate: 0.3 },
    });
    await using run = await world.open();
    await run.cycle();
    world.simulator.setClockOffset(600_000);
    for (const sectionEntries of [40, 2]) {
      const asked = world.simulator.requestCount;
      const { total, failures } = await verify(run, { sectionEntries });
      expect(total, `${sectionEntries}`).toEqual({ compared: 150, missing: 0, extra: 0, changed: 0 });
      expect(failures).toEqual([undefined]);
      const sections = new Set(auditRequests(world.simulator, asked).map(({ sinceMs }) => sinceMs));
      expect(sections.size).toBeGreaterThan(2);
    }
  });

  test('of nothing that is stored, all is missing, each once, though sections turn out too large; --fix stores it all', async () => {
    const faults = { duplicate_entries: 0.5, expired_cursor: 0.2, defectRate: 0.2 };
    await using world = await openWorld({ organizations: 1, entries: 250, faults });
    await using run = await world.open();
    await run.cycle();
    const { rows } = await world.database.pool.query('select count(*)::integer as stored from audit_events');
    await world.database.pool.query('truncate audit_events');
    await world.database.pool.query('update feed_head set position = 0');
    world.simulator.setClockOffset(600_000);
    const lost = await verify(run, { sectionEntries: 20 });
    expect(lost.total).toEqual({ compared: rows[0].stored, missing: rows[0].stored, extra: 0, changed: 0 });
    const fixed = await verify(run, { sectionEntries: 20, fix: true });
    expect(fixed.total).toEqual(lost.total);
    expect(fixed.results.reduce((sum, { findings }) => sum + findings.missing.fixed, 0)).toBe(rows[0].stored);
    await world.expectExactTruth();
    expect((await verify(run)).total).toEqual({ compared: rows[0].stored, missing: 0, extra: 0, changed: 0 });
  });

  test('full pages without a cursor, in disorder: read in parts until each has a credible end, and each entry is counted once', async () => {
    const options = { organizations: 1, entries: 1_500, pageCap: 100 };
    await using world = await openWorld({ ...options, faults: { out_of_order: 0.005 } });
    await using run = await world.open();
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
    world.simulator.setClockOffset(600_000);
    world.simulator.faults.set({ full_page_no_cursor: 1 });
    const { total, failures } = await verify(run, { retries: 12 });
    expect(total).toEqual({ compared: 1_500, missing: 0, extra: 0, changed: 0 });
    expect(failures).toEqual([undefined]);
    expect(world.simulator.faults.fired().full_page_no_cursor).toBeGreaterThan(10);
  });

  test('what answers lack that are cut, at any size, is not called extra', async () => {
    await using world = await openWorld({ organizations: 1, entries: 600, pageCap: 1_000 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await run.cycle();
    world.simulator.setClockOffset(600_000);
    front.distort(({ url, answer, response }) => {
      const envelope = JSON.parse(answer.body.toString('utf8')) as { result: unknown[] };
      const result = envelope.result.slice(0, 30 + (crc32(url.search) % 20));
      return sendTrue(response, {
        ...answer,
        body: Buffer.from(JSON.stringify({ ...envelope, result, result_info: {} })),
      });
    });
    expect((await verify(run)).total).toEqual({ compared: 600, missing: 0, extra: 0, changed: 0 });
  });

  test('what one answer leaves out is asked for once more, not called extra; what no answer shows is extra', async () => {
    await using world = await openWorld({ organizations: 1, entries: 30 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await run.cycle();
    world.simulator.setClockOffset(600_000);
    const hidden = [...world.simulator.truth()][12]?.id;
    let times = 0;
    const hide = (most: number) => {
      times = 0;
      front.distort(({ answer, response }) => {
        const envelope = JSON.parse(answer.body.toString('utf8')) as { result: { id: string }[]; result_info: object };
        const result = envelope.result.filter(({ id }) => id !== hidden);
        if (result.length === envelope.result.length || times === most) return sendTrue(response, answer);
        times += 1;
        const body = { ...envelope, result, result_info: { ...envelope.result_info, count: String(result.length) } };
        return sendTrue(response, { ...answer, body: Buffer.from(JSON.stringify(body)) });
      });
    };
    hide(1);
    expect((await verify(run)).total).toEqual({ compared: 30, missing: 0, extra: 0, changed: 0 });
    expect(times).toBe(1);
    hide(Number.POSITIVE_INFINITY);
    expect((await verify(run)).total).toEqual({ compared: 29, missing: 0, extra: 1, changed: 0 });
    expect(times).toBeGreaterThan(1);
  });
});

describe('verifying a log of 600 entries', () => {
  const world = forAllTests(() => openWorld({ organizations: 1 }));
  const run = forAllTests(() => world.open());
  beforeAll(async () => {
    await run.cycle();
    world.simulator.setClockOffset(600_000);
  });

  test('a walk that fails is retried; one that keeps failing ends with what was compared, and its failure', async () => {
    world.simulator.faults.set({ repeated_cursor: { count: 2 } });
    expect((await verify(run, { sectionEntries: 200 })).total).toMatchObject({ compared: 600, missing: 0, extra: 0 });
    expect(world.simulator.faults.fired().repeated_cursor).toBe(2);

    world.simulator.faults.set({ repeated_cursor: 1 });
    const { total, failures } = await verify(run, { sectionEntries: 600, retries: 1 });
    expect(total).toMatchObject({ missing: 0, extra: 0, changed: 0 });
    expect(failures).toEqual([expect.stringContaining('cursor repeated')]);
    world.simulator.faults.set({ repeated_cursor: null });
  });

  test('what others store after a page was read is not extra', async () => {
    const { total } = await verify(run, {}, (store) => ({
      findUnserved: async (...parameters) => {
        await world.database.pool.query(
          `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
           select source_kind, source_id, organization_id, 'later', 601, action_time, raw from audit_events
           where position = 10 on conflict do nothing`,
        );
        return await store.findUnserved(...parameters);
      },
    }));
    expect(total).toEqual({ compared: 600, missing: 0, extra: 0, changed: 0 });
    expect((await world.compare()).stored).toBe(601);
  });

  test('a source that another process never lets go fails to be repaired, and only that is said', async () => {
    const { pool } = world.database;
    await pool.query("delete from audit_events where action_time < now() - interval '1 h'");
    await pool.query("update sources set lease_owner = 'elsewhere/1/x', lease_until = 'infinity'");
    let nowMs = 0;
    const time = {
      nowMs: () => nowMs,
      sleep: async (ms: number) => {
        nowMs += ms;
      },
    };
    const { failures, total } = await verify(run, { fix: true }, undefined, { time });
    expect(failures).toEqual([expect.stringContaining('another orgtrail held it')]);
    expect(total.missing).toBeGreaterThan(0);
    expect(nowMs).toBeGreaterThanOrEqual(90_000);
  });
});

const dayMs = 86_400_000;

/** What the command does, with a store and limits of the test's choice; the window is the last three days, two minutes ago. */
const verify = async (
  run: SyncRun,
  options: Partial<VerifyOptions> = {},
  wrap: (store: VerifyStore) => Partial<VerifyStore> = () => ({}),
  replaced: Partial<SyncContext> = {},
) => {
  const { sync, database } = run.app;
  const store = createVerifyStore(database.pool, sync.kinds);
  // What a source rests after a failure is not waited for.
  const time = { nowMs: sync.time.nowMs, sleep: async () => {} };
  const context = { ...sync, time, ...replaced, verifyStore: { ...store, ...wrap(store) }, random: () => 0.5 };
  const signal = new AbortController().signal;
  const { nowMs, sources } = await findScope(context, signal);
  const results = await verifySources(context, sources, {
    window: { fromMs: nowMs - 3 * dayMs, toMs: nowMs - 120_000 },
    nowMs,
    fix: false,
    filtered: false,
    sectionEntries: 20_000,
    retries: 3,
    signal,
    stopping: () => false,
    onPage: () => {},
    onSource: () => {},
    ...options,
  });
  const sum = (value: (result: SourceVerification) => number) => results.reduce((a, result) => a + value(result), 0);
  return {
    results,
    total: {
      compared: sum(({ findings }) => findings.compared),
      missing: sum(({ findings }) => findings.missing.entries),
      extra: sum(({ findings }) => findings.extra),
      changed: sum(({ findings }) => findings.changed.entries),
    },
    failures: results.map(({ failure }) => failure),
  };
};
