// What a thaw of one month takes, and whether summaries of it are as before: `npm run lab bench-thaw`, see --help.
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { Client, type Pool } from 'pg';
import pino from 'pino';
import { processTime } from '../../../src/app/sync-context.ts';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { dropOldMonths, setRetentionPolicy } from '../../../src/archive/retention.sql.ts';
import { openObjectStore } from '../../../src/archive/store.ts';
import { workOnce } from '../../../src/archive/thaw/thaw-forever.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { readSearch } from '../../../src/search/query/search.ts';
import { openExplorer } from '../../../src/search/search-source.ts';
import type { SearchSummary } from '../../../src/search/summary/summary.ts';
import { firstValue } from '../../../test/support/postgres/rows.ts';
import { makeLargeHistory, organizationOfRank } from '../../../test/support/search/large-history.ts';
import { findPostmaster, postgresCpuMs } from '../measure.ts';
import { openBenchServer } from './bench-server.ts';

const { values } = parseArgs({
  options: { events: { type: 'string', default: '500000' }, help: { type: 'boolean', default: false } },
});
const events = Number(values.events);
if (values.help || !Number.isSafeInteger(events) || events < 1_000) {
  process.stdout.write(`Usage: npm run lab bench-thaw -- [--events 500000]

Makes a month of events, asks 28 summaries of it, archives and drops it, thaws it, and asks again. Prints what the thaw took. Exit code 1: a
summary is another one. A summary that ran out of time is asked for again. It needs 5 GB of disk below TMPDIR for 500,000 events.
`);
  process.exit(values.help ? 0 : 2);
}
const RETENTION_MS = 92 * 86_400_000;
const ATTEMPTS = 20;
const nowMs = Date.now();
const progress = (line: string) =>
  process.stderr.write(`${((Date.now() - nowMs) / 1_000).toFixed(0).padStart(5)} s: ${line}\n`);

const queriesOf = (large: string, middle: string): readonly Readonly<Record<string, string>>[] => [
  ...[{}, { since: '2024-03-01' }, { before: '2024-03-20' }, { since: '2024-03-10', before: '2024-03-11' }],
  ...[large, middle].map((organization) => ({ organization })),
  { organization: middle, result: 'failure' },
  ...['person-5@org-12.example', 'person-2@*', 'ci-1*', 'ip:198.18.0.0/16'].map((actor) => ({ actor })),
  ...[{ action: 'delete' }, { action: 'UPDATE', product: 'dns' }, { result: 'failure' }, { product: 'waf' }],
  { resource_type: 'api_token', action: 'create' },
  ...['terraform', 'host-7.example.com', 'host-1.'].map((text) => ({ text })),
  ...['-action:view,create', 'status:4xx', '-email:person-1@*', 'uri:/zones/*'].map((q) => ({ q })),
  ...['method:patch -product:dns', 'agent:*terraform*', 'host-12 -text:terraform'].map((q) => ({ q })),
  ...[{ defects: 'true' }, { changed: 'true' }],
];

const askAll = async (url: string, pool: Pool): Promise<ReadonlyMap<string, SearchSummary>> => {
  const idOf = (rank: number) => firstValue<string>(pool, `select ${organizationOfRank(rank)}`);
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  const { source, close } = openExplorer(url, pino({ level: 'silent' }), () => nowMs, rules);
  const answers = new Map<string, SearchSummary>();
  for (const query of queriesOf(await idOf(1), await idOf(12))) {
    const name = JSON.stringify(query);
    for (let attempt = 1; !answers.has(name); attempt += 1) {
      const answer = await source.summary(readSearch(query, nowMs).search, 'exact');
      if (answer.facets !== undefined && !answer.count.isAtLeast) answers.set(name, answer);
      else if (attempt === ATTEMPTS) throw new Error(`the summary of ${name} is always of a part`);
      else progress(`${name}: of a part, asked again`);
    }
  }
  await close();
  return answers;
};

const directory = await mkdtemp(join(tmpdir(), 'orgtrail-bench-thaw-'));
await using server = await openBenchServer(undefined);
const pool = createPool(server.url, 6, () => {});
try {
  await migrateDatabase(pool);
  await pool.query('update discovery set server_time = clock_timestamp()');
  const untilMs = Date.UTC(2024, 3, 1) - 1_000;
  await makeLargeHistory(pool, { events, organizations: 20, untilMs, days: 30, withAccounts: true });
  progress(`${events} events made`);
  const before = await askAll(server.url, pool);
  progress(`${before.size} summaries asked for`);
  const name = `file://${directory}`;
  const secrets = { accessKey: undefined, secretKey: undefined, environment: {} };
  const store = openObjectStore({ kind: 'file', name, directory }, secrets);
  await useArchive(pool, name);
  await setRetentionPolicy(pool, RETENTION_MS);
  const archive = (month: string) => archiveMonth({ pool, store }, month);
  const { dropped } = await dropOldMonths(pool, RETENTION_MS, archive);
  progress(`${dropped.map(({ month }) => month).join(', ')} archived and dropped`);
  await pool.query(
    `insert into archive_thaws (month, ends_at, events) values ('2024-03-01', now() + interval '7 days', ${events})`,
  );
  const client = new Client(server.url);
  await client.connect();
  const postmaster = await findPostmaster(client);
  await client.end();
  const postgresBeforeMs = (await postgresCpuMs(postmaster)) ?? 0;
  const [processBefore, beganAt] = [process.cpuUsage(), performance.now()];
  let copiedAt = beganAt;
  const onCopied = () => {
    copiedAt = performance.now();
  };
  const { signal } = new AbortController();
  const logger = pino({ level: 'error' }, process.stderr);
  await workOnce({ pool, store, archiveMonth: archive, time: processTime(), logger, signal, onCopied }, 'bench');
  const seconds = (performance.now() - beganAt) / 1_000;
  const { user, system } = process.cpuUsage(processBefore);
  const postgresMs = ((await postgresCpuMs(postmaster)) ?? 0) - postgresBeforeMs;
  const perEvent = (microseconds: number) => (microseconds / events).toFixed(1);
  process.stdout.write(`${events} events thawed in ${seconds.toFixed(1)} s, ${Math.round(events / seconds)} a second; copied after ${((copiedAt - beganAt) / 1_000).toFixed(1)} s
CPU µs/event: process ${perEvent(user + system)}, PostgreSQL ${perEvent(postgresMs * 1_000)}; load ${loadavg()[0]?.toFixed(1)}
`);
  const after = await askAll(server.url, pool);
  const others = [...before].filter(([query, answer]) => !isDeepStrictEqual(answer, after.get(query)));
  process.stdout.write(`${before.size - others.length} of ${before.size} summaries are as before\n`);
  for (const [query] of others) process.stdout.write(`another summary: ${query}\n`);
  process.exitCode = others.length === 0 ? 0 : 1;
} finally {
  await pool.end();
  await rm(directory, { recursive: true, force: true });
}
