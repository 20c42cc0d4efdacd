import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type Pool } from 'pg';
import { type Comparison, compareWithTruth } from '../../../src/cli/demo/compare-with-truth.sql.ts';
import { startEmbeddedServer } from '../../../src/postgres/embedded-server.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import type { Simulator } from '../../../src/simulator/simulator-interface.ts';
import { prepareForDaemon } from '../../support/accounts/daemon-account.ts';
import { type ApiGate, startApiGate } from '../../support/network/api-gate.ts';
import { withDatabase } from '../../support/postgres/postgres-server.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';

export const ORGANIZATIONS = 12;
const ENTRIES = 6_000;
const LIVE_PER_SECOND = 2;

/** All that an outage run has to do with: a Cloudflare behind a gate, a database of its own, the daemon. */
export interface OutageWorld extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly gate: ApiGate;
  readonly daemon: OrgtrailProcess;
  /** Where the daemon serves health and metrics. */
  readonly url: string;
  /** For what needs a place on disk; removed at the end. */
  readonly directory: string;
  /** How the store compares with what was served; `untilMs`: of entries up to this time, by the simulator's clock. */
  compare(untilMs?: number): Promise<Comparison>;
  /** No further entries come into being. */
  endStream(): void;
}

/** Starts everything, the daemon with its default schedule, lease and budget, as `orgtrail run`. */
export const openOutageWorld = async (databaseUrl: string | undefined): Promise<OutageWorld> => {
  const stack = new AsyncDisposableStack();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'orgtrail-outage-'));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const server = databaseUrl === undefined ? await startEmbeddedServer(directory, 300) : undefined;
    if (server !== undefined) stack.defer(() => server.stop());
    const url = await createDatabase(databaseUrl ?? server?.url ?? '', stack);
    const pool = createPool(url, 2, () => {});
    stack.defer(() => pool.end());
    const simulator = await startSimulator({
      organizations: ORGANIZATIONS,
      entries: ENTRIES,
      faults: { late: 0.02, equal_timestamps: 0.3, unknown_enums: 0.05, defectRate: 0.01 },
    });
    stack.defer(() => simulator.close());
    const gate = stack.use(await startApiGate(Number(new URL(simulator.baseUrl).port)));
    const stream = setInterval(nextEntry(simulator), 1_000 / LIVE_PER_SECOND);
    stack.defer(() => clearInterval(stream));
    const daemon = startOrgtrail(['run'], {
      CLOUDFLARE_API_TOKEN: 'token-of-the-outage-run',
      CLOUDFLARE_BASE_URL: simulator.baseUrl.replace(/:\d+/, `:${gate.port}`),
      DATABASE_URL: await prepareForDaemon(url),
      ORGTRAIL_HTTP_PORT: '0',
    });
    stack.defer(async () => {
      daemon.child.kill('SIGTERM');
      await daemon.ended;
    });
    await daemon.waitFor('orgtrail started');
    return {
      simulator,
      gate,
      daemon,
      directory,
      url: /"url":"([^"]+)"/.exec(daemon.stdout())?.[1] ?? '',
      compare: (untilMs) => compare(pool, simulator, untilMs),
      endStream: () => clearInterval(stream),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
};

/** One entry at each call, in all organizations by turns. */
const nextEntry = (simulator: Simulator): (() => void) => {
  const ids = simulator.summary().organizations.map(({ id }) => id);
  let made = 0;
  return () => {
    simulator.generate(ids[made % ids.length] ?? '', 1);
    made += 1;
  };
};

const compare = async (pool: Pool, simulator: Simulator, untilMs = Number.POSITIVE_INFINITY): Promise<Comparison> =>
  await compareWithTruth(pool, {
    truth: () => [...simulator.truth()].filter(({ logTimeMs }) => logTimeMs <= untilMs),
    summary: () => simulator.summary(),
  });

/** A database of this run alone, dropped at its end. */
const createDatabase = async (serverUrl: string, stack: AsyncDisposableStack): Promise<string> => {
  const name = `orgtrail_outage_${randomBytes(6).toString('hex')}`;
  const admin = async (statement: string) => {
    const client = new Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(statement).finally(() => client.end());
  };
  await admin(`create database ${name}`);
  stack.defer(() => admin(`drop database ${name} with (force)`));
  return withDatabase(serverUrl, name);
};
