import { expect, test } from 'vitest';
import { copyOut } from '../../../src/postgres/copy/copy-out.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { addressOf, byWayOf, startTcpProxy } from '../../support/network/tcp-proxy.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

const database = databaseOfTests();

test('a connection that breaks in the middle of a COPY fails it, and nothing else: the process lives, and the pool', async () => {
  await using proxy = await startTcpProxy(addressOf(database.url));
  const pool = createPool(byWayOf(proxy, database.url), 1, () => {});
  const rows = Promise.withResolvers<void>();
  const endless = "select repeat('x', 1000), generate_series(1, 1000000000)";
  const copied = copyOut(pool, endless, () => rows.resolve());
  const fails = expect(copied).rejects.toThrow('Connection terminated unexpectedly');
  await rows.promise;
  await proxy.cut();
  await fails;
  await proxy.restore();
  let seen = 0;
  await copyOut(pool, 'select generate_series(1, 3)', () => {
    seen += 1;
  });
  expect(seen).toBe(3);
  await pool.end();
});

test('a COPY that the server refuses fails in its words, and the pool goes on', async () => {
  const pool = createPool(database.url, 1, () => {});
  await expect(copyOut(pool, 'select nothing from nowhere', () => {})).rejects.toThrow('nowhere');
  await copyOut(pool, 'select 1', () => {});
  await pool.end();
});
