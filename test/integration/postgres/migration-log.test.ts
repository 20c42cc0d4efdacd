import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/telemetry/log.ts';
import { migrateWithLog } from '../../../src/telemetry/log-migration.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { until } from '../../support/process/until.ts';

test('a migration that takes long says so, with its step, until it is done; a current schema says nothing', async () => {
  const database = await createTestDatabase({ empty: true });
  const { pool } = database;
  const { lines, logger } = openLog();
  const said = (message: string) => lines.filter(({ msg }) => msg === message);
  // Its first step waits for this, as one that builds an index would take its time.
  const blocker = await pool.connect();
  await blocker.query('begin; create table organizations (id text)');
  const migrating = migrateWithLog(pool, logger, { tellEveryMs: 50 });
  await waitingBackends(pool, 1);
  await until('it has said so', async () => said('schema migration still in progress').length > 1);
  expect(said('schema migration still in progress')[0]).toMatchObject({
    level: 'warn',
    number: 1,
    of: expect.any(Number),
    seconds: expect.any(Number),
  });
  await until('it has named who is in the way', async () => said('waiting for other sessions').length > 0);
  const { rows } = await blocker.query<{ pid: number }>('select pg_backend_pid() as pid');
  await blocker.query('rollback');
  blocker.release();
  const { applied } = await migrating;
  expect(said('waiting for other sessions')[0]).toMatchObject({
    level: 'warn',
    statement: expect.stringMatching(/^CREATE TABLE /i),
    blockers: [{ pid: rows[0]?.pid, state: 'idle in transaction', query: expect.stringContaining('create table') }],
  });
  expect(lines.at(0)).toMatchObject({ level: 'info', migrations: applied, msg: 'migrating the schema' });
  expect(lines.at(-1)).toMatchObject({ level: 'info', migrations: applied, msg: 'schema migrated' });

  lines.length = 0;
  await migrateWithLog(pool, logger);
  expect(lines).toEqual([]);
  await database.close();
});

const openLog = () => {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString('utf8')));
      done();
    },
  });
  return { lines, logger: createLogger({ level: 'info', format: 'json', destination, secrets: [] }) };
};
