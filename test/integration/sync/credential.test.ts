import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/app/config/config.ts';
import { openApp } from '../../../src/app/open-app.ts';
import { createMetrics } from '../../../src/app/telemetry/metrics.ts';
import { version } from '../../../src/base/package-files.ts';
import { syncOnce } from '../../../src/ingest/sync/sync-once.ts';
import { listen } from '../../support/network/listen.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { keptLog } from '../../support/process/kept-log.ts';

test('the credential reaches no log line, no metric and no table, not even where the API repeats it (invariant 12)', async () => {
  await using echo = await startEcho();
  const database = await createTestDatabase();
  const { lines, logger } = keptLog('trace', [TOKEN]);
  const env = { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_BASE_URL: echo.baseUrl, DATABASE_URL: database.daemonUrl };
  const config = loadConfig(env, { needsCredential: true, interactive: false });
  const metrics = createMetrics(version);
  const app = await openApp(config, { logger, metrics });
  const signal = new AbortController().signal;
  const report = await syncOnce(app.sync, { signal, stopping: () => false, retries: 0 });
  expect(report.failed.map(({ kind, id }) => `${kind} ${id}`).sort()).toEqual(['account org', 'organization org']);
  logger.warn({ reason: `a library said ${TOKEN}` }, `and so did its message: ${TOKEN}`);

  expect(lines.join('')).toContain('sync failed for an organization; will retry after backoff');
  expect(lines.join('')).toContain('a library said [secret]');
  expect(lines.join('')).not.toContain(TOKEN);
  expect(await metrics.scrape(app.metricsSource)).not.toContain(TOKEN);
  const { rows: tables } = await database.pool.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class
     where relkind in ('r', 'p') and relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace)`,
  );
  expect(tables.length).toBeGreaterThan(10);
  for (const { name } of tables) {
    const { rows } = await database.pool.query(`select t::text as row from ${name} t`);
    expect(JSON.stringify(rows), name).not.toContain(TOKEN);
  }
  await app.close();
  await database.close();
});

const TOKEN = 'planted-token-9f8e7d6c5b4a';

/** A Cloudflare that lists one organization and repeats the request's credential in the error of its audit log. */
const startEcho = async () => {
  const server = createServer((request, response) => {
    const audit = request.url?.includes('/logs/audit') === true;
    const message = `no, ${request.headers.authorization ?? ''}`;
    response.writeHead(audit ? 403 : 200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        audit
          ? { success: false, errors: [{ code: 10_000, message }] }
          : { success: true, errors: [], messages: [], result: [{ id: 'org', name: 'Echo' }], result_info: {} },
      ),
    );
  });
  const { port, stop } = await listen(server);
  return { baseUrl: `http://127.0.0.1:${port}/client/v4`, [Symbol.asyncDispose]: stop };
};
