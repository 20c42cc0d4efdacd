import { Pool } from 'pg';
import { expect, test } from 'vitest';
import { compareWithTruth } from '../../src/cli/demo/verdict.sql.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { startCluster } from '../support/postgres/postgres-cluster.ts';
import { latenessOf, ticksUnasked } from '../support/process/live-progress.ts';
import { ofAllTests } from '../support/process/of-tests.ts';
import { startDaemonProcess } from '../support/process/running-daemon.ts';
import { until } from '../support/process/until.ts';
import { expectClaimedImpliesStored } from '../support/sync/claims.ts';

const cluster = ofAllTests(startCluster);

// Here and not in test/e2e since each such window costs the 30 seconds after which an answer is not waited for any longer.
test('D1: windows wider than 90 days hang, 20 organizations: all history is read, and live tails do not wait for it', async () => {
  await using stack = new AsyncDisposableStack();
  const startMs = Date.now();
  const simulator = stack.adopt(
    await startSimulator({
      seed: 17,
      organizations: 20,
      entries: 1_000,
      distribution: 'uniform',
      budget: null,
      liveRate: 10,
      historyMs: 545 * dayMs,
      startMs,
      faults: { window_limit: { maxDays: 90, status: 'hang' } },
    }),
    (each) => each.close(),
  );
  const { url } = await cluster.createDatabase();
  const pool = stack.adopt(new Pool({ connectionString: url, max: 2 }), (each) => each.end());
  pool.on('error', () => {});
  const daemon = stack.use(
    await startDaemonProcess({
      CLOUDFLARE_API_TOKEN: 'token-of-the-test',
      CLOUDFLARE_BASE_URL: simulator.baseUrl,
      DATABASE_URL: await prepareForDaemon(url, cluster.url()),
      ORGTRAIL_API_BUDGET: '1000000',
      ORGTRAIL_SETTLE: 'none',
    }),
  );
  const ids = simulator.summary().organizations.map(({ id }) => id);
  const truth = () => [...simulator.truth()].filter(({ logTimeMs }) => logTimeMs < startMs);
  const isComplete = async () =>
    (await compareWithTruth(pool, { truth, summary: () => simulator.summary() })).missing === 0;
  await until('all history is stored', isComplete);
  const seconds = Math.round((Date.now() - startMs) / 1_000);
  expect(await daemon.stop()).toBe(143);
  const unasked = ticksUnasked(simulator, ids);
  const lateness = await latenessOf(pool, simulator);
  console.log(
    `windows hang: all history after ${seconds} s; ticks without a live answer p99 ${unasked.p99}, most ${unasked.most}; lateness p99 ${lateness.p99Ms} ms of ${lateness.entries}`,
  );
  expect(simulator.faults.fired().window_limit).toBeGreaterThan(0);
  expect(unasked.p99).toBeLessThanOrEqual(MAX_TICKS);
  await expectClaimedImpliesStored(pool, simulator);
});

const dayMs = 86_400_000;
/** Above: the daemon of version 0.1 asked for none of the live tails for a minute and more. */
const MAX_TICKS = 8;
