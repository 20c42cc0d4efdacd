// Measures the real daemon with tens of thousands of sources that have been read before: how long its ticks plan, how much memory it has, and how
// long /healthz, /metrics, /v1/status, the overview and `orgtrail status` take. Not a test: figures depend on the machine.
// npm run lab many-sources -- --accounts 50000 --organizations 5000 --ticks 20 --schedule '*/30 * * * * *'
// With --tokens each account is read with a token of its own, from a directory.
import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { credentialFingerprint } from '../../src/ingest/cloudflare/api-budget.sql.ts';
import { laneIntervals } from '../../src/ingest/planning/planner.ts';
import { tickIntervalMs } from '../../src/ingest/sync/daemon.ts';
import { startEmbeddedServer } from '../../src/postgres/embedded-server.ts';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { migrateDatabase } from '../../src/postgres/schema/migrate.ts';
import { usageOf } from '../../test/support/process/process-usage.ts';
import { fillManySources } from '../../test/support/sync/many-sources.ts';

const { values } = parseArgs({
  options: {
    accounts: { type: 'string', default: '50000' },
    organizations: { type: 'string' },
    ticks: { type: 'string', default: '20' },
    schedule: { type: 'string', default: '*/30 * * * * *' },
    tokens: { type: 'boolean', default: false },
  },
});
const accounts = Number(values.accounts);
const main = fileURLToPath(new URL('../../dist/orgtrail.js', import.meta.url));
const API_BUDGET = 900;
const DAY_MS = 86_400_000;

const accountId = (n: number | string): string => hash('md5', `a${n}`);
const tokenOf = (n: number | string): string => `cfat_${n}`;

/** A directory of tokens, and what a daemon has stored that has read each account with its own. */
const fillTokens = async (pool: Pool, folder: string): Promise<void> => {
  await mkdir(folder);
  const keys: string[] = [];
  for (let n = 1; n <= accounts; n += 1) {
    await writeFile(join(folder, accountId(n)), tokenOf(n));
    keys.push(credentialFingerprint(tokenOf(n)));
  }
  await pool.query(
    "create temporary table tokens as select md5('a' || n) as id, key from unnest($1::text[]) with ordinality k (key, n)",
    [keys],
  );
  await pool.query('update sources s set credential = t.id, reader = t.key from tokens t where s.id = t.id');
  await pool.query(
    `insert into account_listings (scope, next_at, last_attempt_at, last_success_at, accounts)
     select 'credential:' || key, clock_timestamp() + interval '1 hour', clock_timestamp(), clock_timestamp(), 1 from tokens`,
  );
  await pool.query(`insert into account_organizations (account_id, scope) select id, 'credential:' || key from tokens`);
};

/** Serves logs without entries, and to tokens of accounts their account; refuses other listings: what is known stays. */
const startApi = async (): Promise<{ readonly url: string; close(): void }> => {
  const server = createServer((request, response) => {
    const isLog = request.url?.includes('/logs/audit') === true;
    const [, n] = /^Bearer cfat_(\d+)$/.exec(request.headers.authorization ?? '') ?? [];
    requests += 1;
    if (n !== undefined && request.url?.includes('/client/v4/accounts?') === true) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          success: true,
          errors: [],
          result: [{ id: accountId(n), name: `Account ${n}` }],
          result_info: { page: 1, per_page: 50, total_pages: 1, count: 1, total_count: 1 },
        }),
      );
      return;
    }
    if (n !== undefined && request.url?.includes('/client/v4/user') === true) {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end('{"success":false,"errors":[{"code":1000,"message":"Invalid API Token"}],"result":null}');
      return;
    }
    response.writeHead(isLog ? 200 : 403, { 'content-type': 'application/json' });
    response.end(
      isLog
        ? '{"success":true,"errors":[],"result":[],"result_info":{"count":0,"cursor":""}}'
        : '{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"result":null}',
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/client/v4`, close: () => server.close() };
};

let requests = 0;

const megabytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(0)} MB`;
const since = (startedMs: number): string => `${((performance.now() - startedMs) / 1_000).toFixed(2)} s`;

const run = (args: readonly string[], env: Readonly<Record<string, string>>) =>
  spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env['PATH'], NODE_OPTIONS: process.env['MEASURED_NODE_OPTIONS'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const timeCommand = async (args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> => {
  const startedMs = performance.now();
  const child = run(args, env);
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  child.stderr.pipe(process.stderr);
  let peakBytes = 0;
  const sampler = setInterval(async () => {
    const usage = await usageOf(child.pid ?? 0).catch(() => undefined);
    peakBytes = Math.max(peakBytes, usage?.peakResidentBytes ?? 0);
  }, 50);
  const [code] = await once(child, 'close');
  clearInterval(sampler);
  console.log(
    `orgtrail ${args.join(' ')}: ${since(startedMs)}, ${megabytes(bytes)} of output, peak ${megabytes(peakBytes)}, exit ${code}`,
  );
};

const measureDaemon = async (env: Readonly<Record<string, string>>): Promise<void> => {
  const child = run(['run'], env);
  const pid = child.pid ?? 0;
  child.stderr.pipe(process.stderr);
  const tickMs = tickIntervalMs(values.schedule) ?? 0;
  let startedMs = Date.now();
  let ticks = 0;
  let url = '';
  for await (const text of createInterface(child.stdout)) {
    const line = JSON.parse(text) as {
      msg: string;
      time: number | string;
      url?: string;
      sources?: number;
      due?: number;
    };
    const timeMs = new Date(line.time).getTime();
    if (line.msg === 'orgtrail started') [startedMs, url] = [timeMs, line.url ?? ''];
    if (line.msg !== 'jobs planned') continue;
    ticks += 1;
    const beganMs = ticks === 1 ? startedMs : Math.floor(timeMs / tickMs) * tickMs;
    const { residentBytes, peakResidentBytes, cpuMs } = await usageOf(pid);
    console.log(
      `tick ${ticks}: planned after ${timeMs - beganMs} ms, ${line.sources} sources, ${line.due} due, RSS ${megabytes(residentBytes)}, peak ${megabytes(peakResidentBytes)}, CPU ${(cpuMs / 1_000).toFixed(1)} s, ${requests} requests`,
    );
    if (ticks >= Number(values.ticks)) break;
  }
  const paths = ['/healthz', '/metrics', '/v1/status', '/'];
  for (const path of [...paths, ...paths]) {
    const requestedMs = performance.now();
    const response = await fetch(url + path);
    const body = await response.arrayBuffer();
    const { residentBytes, peakResidentBytes } = await usageOf(pid);
    console.log(
      `${path}: ${response.status} after ${since(requestedMs)}, ${megabytes(body.byteLength)}, then RSS ${megabytes(residentBytes)}, peak ${megabytes(peakResidentBytes)}`,
    );
  }
  child.stdout.resume();
  child.kill('SIGTERM');
  await once(child, 'close');
};

const directory = await mkdtemp(join(tmpdir(), 'orgtrail-many-sources-'));
const server = await startEmbeddedServer(directory);
const api = await startApi();
try {
  const pool = createPool(server.url, 2, () => {});
  await migrateDatabase(pool);
  await fillManySources(pool, {
    accounts,
    ...(values.organizations !== undefined && { organizations: Number(values.organizations) }),
    settleDelaysMs: [600_000, DAY_MS, 7 * DAY_MS, 30 * DAY_MS],
    ...laneIntervals(accounts + Number(values.organizations ?? 0), API_BUDGET),
    settleDue: 5,
  });
  const folder = join(directory, 'tokens');
  if (values.tokens) await fillTokens(pool, folder);
  await pool.end();
  const env = {
    ...(values.tokens ? { CLOUDFLARE_CREDENTIALS_FILE: folder } : { CLOUDFLARE_API_TOKEN: 'token-of-the-measurement' }),
    CLOUDFLARE_BASE_URL: api.url,
    DATABASE_URL: server.url,
    ORGTRAIL_API_BUDGET: String(API_BUDGET),
    ORGTRAIL_SOURCES: values.organizations === undefined ? 'accounts' : 'organizations,accounts',
    ORGTRAIL_SCHEDULE: values.schedule,
    ORGTRAIL_HTTP_PORT: '0',
    ORGTRAIL_LOG_LEVEL: 'debug',
    ORGTRAIL_LOG_FORMAT: 'json',
  };
  await measureDaemon(env);
  await timeCommand(['status'], env);
  await timeCommand(['status', '--json'], env);
  await timeCommand(['status', '--json', '--all'], env);
} finally {
  api.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}
