import { Client } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import { installPgbouncer, startPgbouncer } from '../support/postgres/pgbouncer.ts';
import { startCluster } from '../support/postgres/postgres-cluster.ts';
import { ofAllTests } from '../support/process/of-tests.ts';
import { startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

const missing = await installPgbouncer();
if (missing !== undefined) console.warn(`skipped, needs pgbouncer: ${missing}`);

describe.skipIf(missing !== undefined)('two daemons behind pgbouncer in transaction mode', () => {
  const cluster = ofAllTests(startCluster);
  let name: string;
  let url: string;
  beforeAll(async () => {
    ({ name, url } = await cluster.createDatabase());
  });
  const pgbouncer = ofAllTests(() => startPgbouncer({ server: cluster, users: [name], poolSize: POOL_SIZE }));
  const troubled = ofAllTests(() =>
    startTroubled(byWayOf(pgbouncer, url), { simulator: { entries: 4_000 }, replicas: 2 }),
  );

  const untilStoredMore = async (more: number): Promise<void> => {
    const before = await troubled.storedBy(url);
    await until('pages are being stored', async () => (await troubled.storedBy(url)) >= before + more);
  };

  test('pgbouncer restarted, told to RECONNECT and to KILL in the middle of a backfill: all is read, once each', async () => {
    await untilStoredMore(300);
    await pgbouncer.restart();
    await untilStoredMore(300);
    await pgbouncer.command('RECONNECT');
    await untilStoredMore(300);
    await pgbouncer.command(`KILL ${name}`);
    troubled.generate(30);
    await pgbouncer.command(`RESUME ${name}`);
    await troubled.untilExact(url);
    const rows = await cluster.sql(`select count(*)::integer as n from pg_stat_activity where usename = '${name}'`);
    expect(rows[0]?.['n']).toBeLessThanOrEqual(POOL_SIZE);
  });

  test('nothing of one client is left on a server connection that others use', async () => {
    await troubled.stop();
    const clients = Array.from({ length: POOL_SIZE }, () => new Client({ connectionString: byWayOf(pgbouncer, url) }));
    for (const client of clients) {
      await client.connect();
      // Each transaction keeps a server connection: together they see all of them.
      await client.query('begin');
      const { rows } = await client.query(
        `select (select count(*)::integer from pg_prepared_statements) as prepared,
           (select count(*)::integer from pg_locks where locktype = 'advisory') as locks,
           (select count(*)::integer from pg_settings where name ~ '_timeout$' and setting <> reset_val) as timeouts`,
      );
      expect(rows).toEqual([{ prepared: 0, locks: 0, timeouts: 0 }]);
    }
    await Promise.all(clients.map((client) => client.end()));
  });
});

/** Fewer than either daemon alone would like. */
const POOL_SIZE = 3;
