import { describe, expect, test } from 'vitest';
import { runSeed } from '../../studies/chaos-archive/archive-run.ts';
import { startServers } from '../../studies/chaos-archive/archive-world.ts';
import { runEvidenceChaos } from '../../studies/chaos-evidence/evidence-run.ts';
import { faultsOf } from '../../studies/chaos-evidence/report.ts';
import { ofAllTests } from '../support/process/of-tests.ts';
import { storages } from '../support/s3/storages.ts';

const SEED = 21;
const missing = storages.find(({ name }) => name === 'moto')?.missing;

describe.skipIf(missing !== undefined)('an archive whose processes are killed and whose objects are changed', () => {
  const servers = ofAllTests(startServers);

  test(`loses nothing (seed ${SEED})`, async () => {
    const { faults, log } = await runSeed(servers, SEED);
    expect(faults, log.join('\n')).toEqual([]);
  });
});

test(`three builders killed, stopped and without a database, and a failover that loses checkpoints (seed ${SEED}): none is contradicted (invariant 15)`, async () => {
  const options = { seed: SEED, leaseMs: 2_000, settleMs: 5_000, entries: 1_500, liveRate: 15, json: true };
  const result = await runEvidenceChaos({ ...options, durationMs: 16_000, isAnchored: true }, () => {});
  expect(faultsOf(result)).toEqual([]);
  expect(result.state).toBe('behind');
  expect(result).toMatchObject({ signedWhileStopped: 0, lag: 0, checkpointFaults: [], verifierFaults: [] });
  expect(result.lostLeaves, 'signed leaves that the standby lacked').toBeGreaterThan(0);
  expect(result.carried).toBeGreaterThan(0);
  expect(result.leases, 'several processes have built').toBeGreaterThan(3);
  expect(result.seen['all']).toBeGreaterThanOrEqual(5);
  expect(result.tally.kills).toBeGreaterThanOrEqual(3);
});
