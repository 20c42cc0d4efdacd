import { Client } from 'pg';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { expectTroubleSaid, startTroubled, type Troubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

let cluster: PostgresCluster;
let url: string;
let troubled: Troubled;

beforeAll(async () => {
  cluster = await startCluster({ settings: { max_connections: MAX_CONNECTIONS } });
  url = (await cluster.createDatabase()).url;
  troubled = await startTroubled(url, { simulator: { entries: 4_000 } });
});

afterAll(async () => {
  await troubled?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

// In this order: each goes on where the one before it left the daemon.
describe('a PostgreSQL that goes away under a running daemon', () => {
  test('stopped (fast) in the middle of a backfill, and started again', async () => {
    await untilStoredMore(400);
    await cluster.stop('fast');
    await expectTroubleSaid(troubled, /ECONNREFUSED/);
    troubled.generate(30);
    await cluster.start();
    await untilStoredMore(400);
  });

  test('crashed (immediate) in the middle of a backfill, and started again', async () => {
    await cluster.stop('immediate');
    await expectTroubleSaid(troubled, /ECONNREFUSED/);
    troubled.generate(30);
    await cluster.start();
    await troubled.untilExact(url);
  });

  test('out of connections: others have taken all that max_connections allows', async () => {
    const others: Client[] = [];
    await cluster.sql('create role other login');
    await occupy(others);
    // Those that the daemon had go to others, too.
    await cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'orgtrail'");
    await occupy(others);
    await expectTroubleSaid(troubled, /too many clients|connection slots/);
    troubled.generate(30);
    await Promise.all(others.map((client) => client.end()));
    await troubled.untilExact(url);
    await troubled.stop();
  });
});

const MAX_CONNECTIONS = 25;

const untilStoredMore = async (more: number): Promise<void> => {
  const before = await troubled.storedBy(url);
  await until('pages are being stored', async () => (await troubled.storedBy(url)) >= before + more);
};

/** Connects until the server has no place left. */
const occupy = async (others: Client[]): Promise<void> => {
  for (;;) {
    const client = new Client({ connectionString: cluster.url('postgres', 'other') });
    client.on('error', () => {});
    try {
      await client.connect();
    } catch {
      return;
    }
    others.push(client);
  }
};
