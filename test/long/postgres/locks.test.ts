import { Client } from 'pg';
import pino from 'pino';
import { expect, test } from 'vitest';
import { openFeed } from '../../../src/feed/open-feed.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase, readLockRoom } from '../../../src/postgres/schema/migrate.ts';
import { startCluster } from '../../support/postgres/postgres-cluster.ts';

const YEARS = 11;
const READERS = 20;
/** They keep the locks of what they have read. */
const TRANSACTIONS = 12;

test('eleven years of months fit into the locks of a PostgreSQL with its defaults, with many readers at once', async () => {
  await using cluster = await startCluster({ settings: { max_connections: 100, max_locks_per_transaction: 64 } });
  const { url } = await cluster.createDatabase();
  const pool = createPool(url, 2, () => {});
  await migrateDatabase(pool);
  for (let year = 2016; year < 2016 + YEARS; year += 1)
    await pool.query('select orgtrail_create_partitions($1, $2)', [`${year}-01-01`, `${year}-12-01`]);
  await pool.query("select orgtrail_create_partitions('2015-11-01', '2015-12-01')");
  const room = await readLockRoom(pool);
  expect(room).toMatchObject({ months: 12 * YEARS + 3, perTransaction: 64, connections: 100 });
  expect(room.relations / room.months, 'a month is a table and at most 14 indexes').toBeLessThanOrEqual(15);
  const held = await Promise.all(Array.from({ length: TRANSACTIONS }, () => readAndHold(url)));
  const feed = openFeed(url, pino({ level: 'silent' }));
  try {
    const { feedId } = await feed.source.head();
    const range = { after: 0, until: 10, organizationIds: undefined, accountIds: undefined };
    const readers = Array.from({ length: READERS }, async () => {
      for await (const piece of feed.source.pieces({ feedId, lastDrop: 0 }, range, 'native'))
        expect(piece).toBeDefined();
    });
    await Promise.all(readers);
  } finally {
    await feed.close();
    await Promise.all(held.map((client) => client.end()));
    await pool.end();
  }
});

const readAndHold = async (url: string): Promise<Client> => {
  const client = new Client(url);
  await client.connect();
  await client.query('begin; select position from audit_feed where position > 0 order by position limit 1');
  return client;
};
