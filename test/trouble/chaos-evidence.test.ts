import { expect, test } from 'vitest';
import { runEvidenceChaos } from '../../studies/chaos-evidence/evidence-run.ts';
import { faultsOf } from '../../studies/chaos-evidence/report.ts';

const SEED = 21;

for (const isAnchored of [true, false]) {
  const kept = isAnchored ? 'with checkpoints kept in a directory' : 'without an anchor';
  test(`three builders killed, stopped and without a database, and a failover that loses checkpoints, ${kept} (seed ${SEED}): none is contradicted`, async () => {
    const options = { seed: SEED, leaseMs: 2_000, settleMs: 5_000, entries: 3_000, liveRate: 25, json: true };
    const result = await runEvidenceChaos({ ...options, durationMs: 30_000, isAnchored }, () => {});
    expect(faultsOf(result)).toEqual([]);
    expect(result.state).toMatch(/^(behind|forked)$/);
    expect(result).toMatchObject({ signedWhileStopped: 0, lag: 0, checkpointFaults: [], verifierFaults: [] });
    expect(result.lostLeaves, 'signed leaves that the standby lacked').toBeGreaterThan(0);
    expect(result.commonSize).toBeGreaterThan(0);
    expect(result.leases, 'several processes have built').toBeGreaterThan(3);
    expect(result.seen['all']).toBeGreaterThanOrEqual(5);
    expect(result.tally.kills).toBeGreaterThanOrEqual(3);
  });
}
