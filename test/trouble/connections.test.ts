import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../src/postgres/pool.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import { withLock } from '../support/postgres/lock-waits.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { cutPoints, startPostgresProxy } from '../support/postgres/wire/postgres-proxy.ts';
import { ofAllTests } from '../support/process/of-tests.ts';
import { expectTroubleSaid, startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

const cluster = ofAllTests(startCluster);

describe.concurrent('connections to PostgreSQL', () => {
  test('cut at every point of the page statement, twice each: every page counts once', async () => {
    await using proxy = await startPostgresProxy(cluster);
    const { url } = await cluster.createDatabase();
    proxy.cutNext(PAGE_STATEMENT, [...cutPoints, ...cutPoints]);
    await using troubled = await startTroubled(byWayOf(proxy, url), {
      simulator: { entries: 3_000, faults: { defectRate: 0.02, last_page_cursor: 0.2 } },
    });
    await until('all cuts are made', async () => proxy.cuts.length === 2 * cutPoints.length);
    await troubled.untilExact(url);
    expect([...proxy.cuts].sort()).toEqual([...cutPoints, ...cutPoints].sort());
    expect(await troubled.livez()).toBe(200);
    await troubled.stop();
  });

  test('half-open: nothing arrives any more and they are not closed; the daemon gives them up and goes on', async () => {
    await using proxy = await startPostgresProxy(cluster);
    const { url } = await cluster.createDatabase();
    await using troubled = await startTroubled(`${byWayOf(proxy, url)}?query_timeout=${STATEMENT_TIMEOUT_MS}`);
    await until('some is stored', async () => (await troubled.storedBy(url)) > 0);
    proxy.fallSilent();
    await expectTroubleSaid(troubled, /did not answer|does not answer|timeout/);
    troubled.generate(20);
    proxy.letThrough();
    await troubled.untilExact(url);
    await troubled.stop();
  });

  test('half-open, and told to stop: leaves without waiting for an answer', async () => {
    await using proxy = await startPostgresProxy(cluster);
    const { url } = await cluster.createDatabase();
    await using troubled = await startTroubled(byWayOf(proxy, url), { simulator: { entries: 3_000 } });
    await until('some is stored', async () => (await troubled.storedBy(url)) > 0);
    proxy.fallSilent();
    troubled.daemon.child.kill('SIGTERM');
    const left = troubled.daemon.ended.then(() => true);
    // Two thirds of what a statement has.
    const tooLong = sleep(40_000, false, { ref: false });
    expect(await Promise.race([left, tooLong])).toBe(true);
    await troubled.stop();
  });

  test('half-open: a limit is set by default', async () => {
    const pool = createPool(cluster.url(), 1, () => {});
    expect(pool.options).toMatchObject({ query_timeout: 60_000, keepAlive: true, keepAliveInitialDelayMillis: 10_000 });
    await pool.end();
  });

  test('slow: every packet takes its time, and all is read', async () => {
    await using proxy = await startPostgresProxy(cluster);
    const { url } = await cluster.createDatabase();
    proxy.delayMs = 20;
    await using troubled = await startTroubled(byWayOf(proxy, url), { simulator: { entries: 200 } });
    await troubled.untilExact(url);
    await troubled.stop();
  });

  test("slow: another transaction holds the feed's head for long; statements are given up and leave nothing behind", async () => {
    const { url, name } = await cluster.createDatabase();
    await using troubled = await startTroubled(`${url}?query_timeout=${STATEMENT_TIMEOUT_MS}`);
    await until('some is stored', async () => (await troubled.storedBy(url)) > 0);
    const other = createPool(cluster.url(name), 1, () => {});
    const waiting = async () => {
      const rows = await cluster.sql(
        `select from pg_stat_activity where datname = '${name}' and usename = '${name}' and state = 'active' and wait_event_type = 'Lock'`,
      );
      return rows.length;
    };
    await withLock(other, 'select from feed_head for update', async () => {
      const saidTwice = async () => {
        troubled.generate(5);
        await expectTroubleSaid(troubled, /did not answer a statement in time/);
      };
      await saidTwice();
      await saidTwice();
      expect(await waiting()).toBeLessThanOrEqual(MAX_WAITING);
    });
    await other.end();
    await troubled.untilExact(url);
    await troubled.stop();
  });

  test('out of connections: the role may have no more', async () => {
    const { url, name } = await cluster.createDatabase();
    await using troubled = await startTroubled(url);
    await until('some is stored', async () => (await troubled.storedBy(url)) > 0);
    await cluster.sql(`alter role ${name} connection limit 0`);
    await cluster.sql(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${name}'`);
    await expectTroubleSaid(troubled, /too many connections for role/);
    troubled.generate(20);
    // Fewer than it would like, for a while.
    await cluster.sql(`alter role ${name} connection limit 3`);
    await until('it goes on with few', async () => (await troubled.storedBy(cluster.url(name))) > 0);
    await cluster.sql(`alter role ${name} connection limit -1`);
    await troubled.untilExact(url);
    await troubled.stop();
  });
});

// In this order: each goes on where the one before it left the daemon.
describe('a PostgreSQL that goes away under a running daemon', () => {
  const server = ofAllTests(() => startCluster({ settings: { max_connections: 25 } }));
  let url: string;
  beforeAll(async () => {
    ({ url } = await server.createDatabase());
  });
  const troubled = ofAllTests(() => startTroubled(url, { simulator: { entries: 4_000 } }));
  const untilStoredMore = async (more: number): Promise<void> => {
    const before = await troubled.storedBy(url);
    await until('pages are being stored', async () => (await troubled.storedBy(url)) >= before + more);
  };

  test('stopped (fast) in the middle of a backfill, and started again', async () => {
    await untilStoredMore(400);
    await server.stop('fast');
    await expectTroubleSaid(troubled, /ECONNREFUSED/);
    troubled.generate(30);
    await server.start();
    await untilStoredMore(400);
  });

  test('crashed (immediate) in the middle of a backfill, and started again', async () => {
    await server.stop('immediate');
    await expectTroubleSaid(troubled, /ECONNREFUSED/);
    troubled.generate(30);
    await server.start();
    await troubled.untilExact(url);
  });

  test('out of connections: others have taken all that max_connections allows', async () => {
    const others: Client[] = [];
    await server.sql('create role other login');
    await occupy(server, others);
    // Those that the daemon had go to others, too.
    await server.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'orgtrail'");
    await occupy(server, others);
    await expectTroubleSaid(troubled, /too many clients|connection slots/);
    troubled.generate(30);
    await Promise.all(others.map((client) => client.end()));
    await troubled.untilExact(url);
    await troubled.stop();
  });
});

/** In the statement that commits a page, and in no other. */
const PAGE_STATEMENT = 'orgtrail_commit_page_2(';
/** Stands in for the minute that a statement may take. */
const STATEMENT_TIMEOUT_MS = 2_000;
/** The daemon has few workers; without an end to abandoned statements, each second would add some. */
const MAX_WAITING = 8;

/** Connects until the server has no place left. */
const occupy = async (server: PostgresCluster, others: Client[]): Promise<void> => {
  for (;;) {
    const client = new Client({ connectionString: server.url('postgres', 'other') });
    client.on('error', () => {});
    try {
      await client.connect();
    } catch {
      return;
    }
    others.push(client);
  }
};
