import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { createPool } from '../../src/postgres/pool.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { asDaemon, prepareForDaemon } from '../../test/support/accounts/daemon-account.ts';
import { freePorts } from '../../test/support/network/free-ports.ts';
import { byWayOf } from '../../test/support/network/tcp-proxy.ts';
import {
  type PostgresCluster,
  type Standby,
  startCluster,
  startStandby,
} from '../../test/support/postgres/postgres-cluster.ts';
import { type PostgresProxy, startPostgresProxy } from '../../test/support/postgres/wire/postgres-proxy.ts';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { Replica } from '../chaos/replica.ts';
import { newTally, type Tally } from '../chaos/tally.ts';
import type { EvidenceChaosOptions } from './options.ts';
import { SeenCheckpoints } from './seen-checkpoints.ts';

const REPLICAS = 3;
const ORGANIZATIONS = 6;
const DAY_MS = 86_400_000;

/** Three daemons that all build, a primary with a standby behind an address that moves, and what watches them. */
export interface EvidenceWorld {
  readonly folder: string;
  readonly simulator: Simulator;
  readonly primary: PostgresCluster;
  readonly standby: Standby;
  readonly proxy: PostgresProxy;
  /** The name of the database, on both servers. */
  readonly database: string;
  /** By way of the address that moves, as the owner. */
  readonly pool: Pool;
  readonly replicas: readonly Replica[];
  readonly tally: Tally;
  readonly seen: SeenCheckpoints;
  /** Of an operator: the account that owns the schema. */
  readonly operator: Readonly<Record<string, string>>;
}

/** Builds all of it; `stack` takes it down. `keep.all`: the folder stays. */
export const openEvidenceWorld = async (
  options: EvidenceChaosOptions,
  keep: { readonly all: boolean },
  stack: AsyncDisposableStack,
): Promise<EvidenceWorld> => {
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-chaos-evidence-'));
  stack.defer(async () => {
    if (!keep.all) await rm(folder, { recursive: true, force: true });
  });
  const simulator = await startSimulator({
    seed: options.seed,
    organizations: ORGANIZATIONS,
    entries: options.entries,
    historyMs: 30 * DAY_MS,
    budget: null,
    faults: { preset: 'all', late: 0.05, lateDelayMs: options.settleMs * 0.75, changed_content: 0 },
  });
  stack.defer(() => simulator.close());
  // Durability as shipped; what the standby needs is not thrown away while it is behind.
  const primary = stack.use(await startCluster({ settings: { fsync: 'on', wal_keep_size: '1GB' } }));
  const { name, url } = await primary.createDatabase();
  const standby = stack.use(await startStandby(primary, { asynchronous: true }));
  const proxy = stack.use(await startPostgresProxy(primary));
  await primary.sql('create role orgtrail_evidence nologin');
  await prepareForDaemon(url, primary.url(name));
  await primary.sql('grant orgtrail_evidence to orgtrail_test_daemon');
  const pool = createPool(byWayOf(proxy, url), 4, () => {});
  stack.defer(() => pool.end());

  const anchor = join(folder, 'worm');
  await mkdir(anchor);
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-chaos-run',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: asDaemon(byWayOf(proxy, url)),
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_SCHEDULE: '*/2 * * * * *',
    ORGTRAIL_HISTORY: '40d',
    ORGTRAIL_SETTLE: `${options.settleMs / 1_000}s`,
    ORGTRAIL_LEASE: `${options.leaseMs / 1_000}s`,
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
    ORGTRAIL_EVIDENCE_STATEMENTS: '1m',
    ...(options.isAnchored && { ORGTRAIL_EVIDENCE_ANCHORS: `file:${anchor}` }),
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
  };
  const operator = { ...env, DATABASE_URL: byWayOf(proxy, url) };
  const begun = await runOrgtrail(['evidence', 'init'], operator);
  if (begun.code !== 0) throw new Error(`evidence init: ${begun.stderr}`);
  const tally = newTally();
  const ports = await freePorts(REPLICAS);
  const logFiles = ports.map((_, index) => join(folder, `replica-${index + 1}.log`));
  const replicas = ports.map(
    (port, index) => new Replica(String(index + 1), port, env, logFiles[index] as string, tally),
  );
  stack.defer(async () => void (await Promise.all(replicas.map((replica) => replica.end()))));
  const seen = new SeenCheckpoints({ pool, anchor, logFiles });
  stack.defer(() => seen.stop());
  for (const replica of replicas) replica.start();
  return { folder, simulator, primary, standby, proxy, database: name, pool, replicas, tally, seen, operator };
};
