import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startConsoleDaemon } from '../../support/console/console-daemon.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';

const { folder } = temporaryFolder();

test('coverage that reaches beyond now is failing, in health, console, status and metrics: nothing would seem to be missing', async () => {
  await using stack = new AsyncDisposableStack();
  const { database, env, text, health } = await openAll(stack);
  await until(
    'something is read',
    async () => (await health()).sources[0]?.failures === 0 && (await covers(database.pool)),
  );
  expect((await health()).sources[0].state).not.toBe('failing');
  await database.pool.query(
    "update coverage set ranges = ranges + tstzmultirange(tstzrange(now() - interval '1 day', now() + interval '1 hour'))",
  );
  const [source] = (await health()).sources;
  expect(source).toMatchObject({
    state: 'failing',
    last_error: expect.stringMatching(/^coverage fails: it reaches 3\d\d\d s beyond now/),
  });
  expect((await health()).status).toBe('failing');
  expect(await text('/metrics')).toMatch(/orgtrail_coverage_future_seconds\{organization_id="[^"]+"\} 3\d\d\d/);
  expect(await text('/')).toContain('beyond now');
  expect((await runInProcess(['status'], env)).stdout).toMatch(/^failing: .*beyond now/m);
});

test('a sink beyond the end of the feed is failing, in health, console, sink list and metrics', async () => {
  await using stack = new AsyncDisposableStack();
  const { database, env, text, health } = await openAll(stack);
  await database.pool.query('update sinks set position = 9000000000');
  expect((await health()).sinks).toMatchObject([
    {
      name: 'archive',
      state: 'failing',
      last_error: expect.stringMatching(/9000000000, is beyond the end of the feed, \d+:/),
    },
  ]);
  expect((await health()).status).toBe('failing');
  expect(await text('/metrics')).toMatch(/orgtrail_sink_failures\{sink="archive"\} [1-9]/);
  expect(await text('/')).toContain('is beyond the end of the feed');
  const listed = await runInProcess(['sink', 'list'], env);
  expect(listed.stdout).toMatch(/^archive: .*is beyond the end of the feed/m);
});

const covers = async (pool: { query: (sql: string) => Promise<{ rowCount: number | null }> }): Promise<boolean> =>
  ((await pool.query('select from coverage where not isempty(ranges)')).rowCount ?? 0) > 0;

/** A daemon that has read everything, with a sink that has it all, over the database that it uses. */
const openAll = async (stack: AsyncDisposableStack) => {
  const database = stack.adopt(await createTestDatabase(), (each) => each.close());
  const env = { DATABASE_URL: database.daemonUrl };
  const sinks = JSON.stringify({
    archive: { type: 'file', path: join(folder, `${new URL(database.url).pathname}.ndjson`) },
  });
  // One tick at the start, and then none: what is seen is what the database says.
  const daemon = stack.use(
    await startConsoleDaemon(
      { ...env, ORGTRAIL_SINKS: sinks, ORGTRAIL_SCHEDULE: '0 0 0 29 2 *' },
      { organizations: 1, entries: 20 },
    ),
  );
  const text = async (path: string) => await (await fetch(`${daemon.url}${path}`)).text();
  const health = async () => JSON.parse(await text('/healthz'));
  return { database, env, text, health };
};
