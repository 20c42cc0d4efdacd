import { afterAll, beforeAll, expect, test } from 'vitest';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import {
  type PostgresCluster,
  type Standby,
  startCluster,
  startStandby,
} from '../support/postgres/postgres-cluster.ts';
import { type PostgresProxy, startPostgresProxy } from '../support/postgres/wire/postgres-proxy.ts';
import { expectTroubleSaid, startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

let primary: PostgresCluster;
let standby: Standby;
/** The address that moves, as a virtual IP or a name does. */
let proxy: PostgresProxy;

beforeAll(async () => {
  primary = await startCluster({ settings: { wal_keep_size: '256MB' } });
  standby = await startStandby(primary);
  proxy = await startPostgresProxy(primary);
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await standby?.[Symbol.asyncDispose]();
  await primary?.[Symbol.asyncDispose]();
});

test('failed over to a synchronous standby in the middle of a backfill, read-only until it is promoted', async () => {
  const { name, url } = await primary.createDatabase();
  await using troubled = await startTroubled(byWayOf(proxy, url), { simulator: { entries: 3_000 } });
  await until('the backfill is under way', async () => (await troubled.storedBy(url)) > 500);
  const seen = await troubled.storedBy(url);
  const feedSeen = await feedUpTo(primary, name, seen);

  await primary.stop('immediate');
  proxy.pointTo(standby);
  await expectTroubleSaid(troubled, /cannot execute \w+ in a read-only transaction/);
  troubled.generate(30);

  await standby.promote();
  await troubled.untilExact(standby.url(name, name));
  // Who read the feed before the failover has read no position that means another event now.
  expect(await feedUpTo(standby, name, seen)).toBe(feedSeen);
  await troubled.stop();
});

const feedUpTo = async (cluster: PostgresCluster, database: string, position: number): Promise<string> => {
  const rows = await cluster.sql(
    `select string_agg(position || ' ' || id, ',' order by position) as feed from audit_events where position <= ${position}`,
    database,
  );
  return String(rows[0]?.['feed']);
};
