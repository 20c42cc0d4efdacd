import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { openPool } from '../../../src/postgres/open-pool.ts';
import { readSchemaState } from '../../../src/postgres/schema/migrate.ts';
import { createTestDatabase, databaseOfTests } from '../../support/postgres/database.ts';
import { until } from '../../support/process/until.ts';

const database = databaseOfTests();

test('a connection that is lost is logged, but not one that ends with the pool', async () => {
  const { lines, destination } = openLog();
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

test('a database that prints few digits, and whose search path leaves out public, is read as it is', async () => {
  const odd = await createTestDatabase();
  onTestFinished(() => odd.close());
  const { rows } = await odd.pool.query<{ name: string }>('select quote_ident(current_database()) as name');
  for (const setting of ['extra_float_digits = -15', 'search_path = elsewhere'])
    await odd.pool.query(`alter database ${rows[0]?.name} set ${setting}`);
  const { lines, destination } = openLog();
  const { pool, close } = openPool({ url: () => odd.url, size: 1, logger: pino(destination) });
  expect(await readSchemaState(pool)).toMatchObject({ state: 'current' });
  const read = await pool.query<{ n: number }>(
    'select 1234567890123456::float8 as n from discovery right join (values (1)) on true',
  );
  expect(read.rows).toEqual([{ n: 1234567890123456 }]);
  await close();
  expect(lines).toEqual([]);
});

test.each([undefined, 'searches'])(
  'a server that closes idle connections earlier than the pool (of %s): statements go on, each time on new ones',
  async (sharedFor) => {
    const { lines, destination } = openLog();
    const { rows } = await database.pool.query<{ name: string }>('select current_database() as name');
    // Of sessions that begin from now on.
    await database.pool.query(`alter database "${rows[0]?.name}" set idle_session_timeout = '500ms'`);
    const { pool, close } = openPool({
      url: database.url,
      size: 3,
      logger: pino(destination),
      ...(sharedFor && { sharedFor }),
    });
    const together = () =>
      Promise.all(
        [1, 2, 3].map((n) =>
          pool.query<{ n: number; pid: number }>(`select ${n} as n, pg_backend_pid() as pid, pg_sleep(0.01)`),
        ),
      );
    const pids = new Set<number>();
    for (let round = 1; round <= 3; round += 1) {
      const answers = (await together()).map((answer) => answer.rows[0]);
      expect(answers.map((row) => row?.n)).toEqual([1, 2, 3]);
      for (const row of answers) pids.add(row?.pid ?? 0);
      await until('the server has closed them, and the pool knows', async () => pool.totalCount === 0);
    }
    expect(lines).toHaveLength(pids.size);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({
        level: 40,
        msg: 'lost an idle database connection',
        reason: expect.stringContaining('idle-session timeout'),
      });
    }
    await close();
  },
);

const openLog = () => {
  const lines: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  return { lines, destination };
};
