import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool } from '../../../src/postgres/open-pool.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => await database?.close());

test('a connection that is lost is logged, but not one that ends with the pool', async () => {
  const lines: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  const opened = openPool({ url: () => database.url, size: 1, logger: pino(destination) });
  await opened.pool.query('select 1');
  opened.pool.emit('error', new Error('terminating connection due to administrator command'), undefined as never);
  expect(lines.join('')).toContain('lost an idle database connection');
  lines.length = 0;
  const closing = opened.close();
  opened.pool.emit('error', new Error('terminating connection due to administrator command'), undefined as never);
  await closing;
  expect(lines).toEqual([]);
});
