import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createEvidenceGauges, showEvidence } from '../../../src/app/telemetry/status-gauges.ts';
import { buildForever } from '../../../src/evidence/builder/build-forever.ts';
import type { HeldClaim } from '../../../src/evidence/builder/builder.ts';
import { createEvidenceStore, noteBuilderSettings } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { type EvidenceStatus, isUnanchored } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { newSigner } from '../../support/evidence/builder-world.ts';
import { worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { orderNewKey } from '../../support/evidence/key-orders.ts';
import { addSources, commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';

let anchor: string;
let claim: HeldClaim;
/** A log with an anchor that has a checkpoint, and the lease of the process that builds it. */
const world = worldOfAllTests(async () => {
  await world.addEvents(1, 'one');
  anchor = `file:${world.room.folder}`;
  const builder = openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(world.room.folder)]);
  const claimed = await builder.claim();
  if (claimed === undefined) throw new Error('another one has the lease');
  claim = claimed;
  await builder.build(claim);
  await builder.anchor();
});

test('as long as no process has said what its anchors are, all that were tried count', async () => {
  const now = await world.status();
  expect(now.anchors).toMatchObject([{ anchor, isConfigured: true }]);
  expect(now.overdueSources).toBeNull();
  expect(isUnanchored(now)).toBe(false);
  expect(await shown(now)).toEqual([
    expect.stringMatching(/^orgtrail_evidence_anchor_age_seconds\{anchor="file:.*"\} \d/),
    'orgtrail_evidence_unanchored 0',
    'orgtrail_evidence_overdue_sources Nan',
  ]);
});

test('a process that has lost the lease says nothing', async () => {
  const old = { ...claim, epoch: claim.epoch - 1 };
  await noteBuilderSettings(world.pool, old, { anchors: [], statementsMs: DAY_MS });
  expect((await world.status()).anchors).toMatchObject([{ isConfigured: true }]);
});

test('an anchor that never had anything is infinitely old, also before it was tried', async () => {
  const anchors = [anchor, 'tsa:https://tsa.example.com'];
  await noteBuilderSettings(world.pool, claim, { anchors, statementsMs: DAY_MS });
  const now = await world.status();
  expect(now.anchors).toMatchObject([
    { isConfigured: true, size: 1 },
    {
      anchor: 'tsa:https://tsa.example.com',
      isConfigured: true,
      size: null,
      isOfEvents: false,
      secondsAgo: null,
      error: null,
    },
  ]);
  expect(await shown(now)).toContain('orgtrail_evidence_anchor_age_seconds{anchor="tsa:https://tsa.example.com"} +Inf');
  expect(isUnanchored(now)).toBe(false);
});

test('an anchor that was taken out of the settings has no series, is still named, and anchors nothing new', async () => {
  await noteBuilderSettings(world.pool, claim, { anchors: [], statementsMs: DAY_MS });
  const now = await world.status();
  expect(now.anchors).toMatchObject([{ anchor, isConfigured: false, size: 1 }]);
  expect(isUnanchored(now)).toBe(true);
  expect(await shown(now)).toEqual(['orgtrail_evidence_unanchored 1', expect.stringContaining('overdue_sources')]);
});

test('a source is overdue if it is read, and not stated for twice as long as it should be', async () => {
  const { pool } = world;
  await addSources(pool, ['stated', 'never read']);
  await commit(pool, await takeLease(pool, 'stated'), [entryText('two', T0)]);
  const state = async (age: string) =>
    await pool.query(
      `insert into evidence_coverage (generation, source_kind, source_id, filter_hash, index, stated_at)
       values (1, 'organization', 'stated', 'f', 1, clock_timestamp() - $1::interval)
       on conflict (generation, source_kind, source_id, filter_hash) do update set stated_at = excluded.stated_at`,
      [age],
    );
  await state('47 hours');
  await noteBuilderSettings(pool, claim, { anchors: [], statementsMs: DAY_MS });
  expect((await world.status()).overdueSources).toBe(1);
  await state('49 hours');
  expect((await world.status()).overdueSources).toBe(2);
  await noteBuilderSettings(pool, claim, { anchors: [], statementsMs: 7 * DAY_MS });
  expect((await world.status()).overdueSources).toBe(1);
  await pool.query(`update sources set last_attempt_at = clock_timestamp() - interval '8 days'`);
  expect((await world.status()).overdueSources).toBe(0);
});

test('without evidence there is no figure', async () => {
  expect(await shown(undefined)).toEqual(['orgtrail_evidence_unanchored Nan', 'orgtrail_evidence_overdue_sources Nan']);
});

test('settings that could not be noted are noted in the next round of the same lease', async () => {
  const { pool, signer } = world;
  await pool.query('update evidence_logs set lease_until = null');
  const stop = new AbortController();
  const told: string[] = [];
  const noted: number[] = [];
  const ended = buildForever({
    store: createEvidenceStore(pool, 'a process', 60_000),
    signer,
    base: 'audit.example.com/evidence',
    version: '1',
    observer: {},
    noteSettings: async ({ epoch }) => {
      noted.push(epoch);
      if (noted.length < 3) throw new Error('the database is away');
      stop.abort();
    },
    time: { nowMs: () => performance.now(), sleep: (ms, signal) => sleep(ms, undefined, { signal }) },
    leaseMs: 60_000,
    intervalMs: 1,
    waitBeyond: async () => {},
    onError: (reason) => told.push(reason),
    signal: stop.signal,
  });
  await ended;
  expect(noted).toEqual([noted[0], noted[0], noted[0]]);
  expect(told).toEqual(['the database is away']);
});

test('evidence that is configured and was never begun shows, as does a key that is ordered', async () => {
  const { pool } = world;
  expect(await begun(undefined, false)).toEqual([
    'orgtrail_evidence_unbegun Nan',
    'orgtrail_evidence_key_order_pending Nan',
  ]);
  expect(await begun(undefined, true)).toEqual([
    'orgtrail_evidence_unbegun 1',
    'orgtrail_evidence_key_order_pending Nan',
  ]);
  await orderNewKey(pool, newSigner(), 'rotation');
  expect(await begun(await world.status())).toEqual([
    'orgtrail_evidence_unbegun 0',
    'orgtrail_evidence_key_order_pending 1',
  ]);
  await pool.query(`update evidence_logs set signed_size = null, signed_at = null, key_ordered = null`);
  expect(await begun(await world.status())).toEqual([
    'orgtrail_evidence_unbegun 1',
    'orgtrail_evidence_key_order_pending 0',
  ]);
  await pool.query(`update evidence_logs set ended_at = now(), ended_reason = 'a test'`);
  expect((await begun(await world.status()))[0]).toBe('orgtrail_evidence_unbegun 0');
});

const DAY_MS = 86_400_000;

const linesOf = async (
  evidence: EvidenceStatus | undefined,
  pattern: RegExp,
  isSet = evidence !== undefined,
): Promise<readonly string[]> => {
  const registry = new Registry();
  showEvidence(createEvidenceGauges([registry]), evidence, isSet);
  return (await registry.metrics()).split('\n').filter((line) => pattern.test(line));
};

const shown = (evidence: EvidenceStatus | undefined) =>
  linesOf(evidence, /^orgtrail_evidence_(anchor_age|unanchored|overdue)/);

const begun = (evidence: EvidenceStatus | undefined, isSet?: boolean) =>
  linesOf(evidence, /^orgtrail_evidence_(unbegun|key_order)/, isSet);
