// How long the questions take that people ask of the history: `npm run lab bench-history` makes 10,000,000 events and asks each
// over 90 days, and then the same as the pages of the console do, with count, histogram and facets. `--events 500000` is a small one;
// `--days 219.2 --events 4000000` are so many days as dense as 10,000,000 over 18 months. `--keep DIR` keeps the data, and a second run
// with it does not load again; `--only console` (or `sql`) asks one kind alone; `--report FILE` puts the tables into a file.
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, type Pool } from 'pg';
import { startEmbeddedServer } from '../../src/postgres/embedded-server.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { migrateDatabase } from '../../src/postgres/schema/migrate.ts';
import { createSearchIndex, type SearchIndexKind } from '../../src/postgres/schema/online-index.ts';
import { withDatabase } from '../../test/support/postgres/postgres-server.ts';
import {
  indexesIn,
  indexNames,
  type Question,
  questionsUntil,
  searchesUntil,
} from '../../test/support/search/history-questions.ts';
import { makeLargeHistory } from '../../test/support/search/large-history.ts';
import { HISTORY_DATABASE } from './archive/bench-server.ts';
import { writeReport } from './bench-report.ts';
import { askConsole } from './console/ask-console.ts';
import { renderConsole } from './console/console-table.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000000' },
    organizations: { type: 'string', default: '200' },
    days: { type: 'string', default: '548' },
    until: { type: 'string', default: '2026-11-01T00:00:00Z' },
    keep: { type: 'string' },
    rounds: { type: 'string', default: '9' },
    'search-index': { type: 'string', default: '' },
    memory: { type: 'string', default: '2GB' },
    only: { type: 'string' },
    report: { type: 'string' },
  },
});
const events = Number(values.events);
const organizations = Number(values.organizations);
const rounds = Number(values.rounds);
const DATABASE = HISTORY_DATABASE;
/** How long the history is, and its end: the same whenever it runs, so that data that was kept is asked the same. */
const days = Number(values.days);
const UNTIL = values.until;

interface Server {
  readonly url: string;
  close(): Promise<void>;
}

/** TEST_DATABASE_URL, with a database of its own there; else the embedded server, with memory for caching. */
const openServer = async (): Promise<Server> => {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined) {
    await createDatabase(given);
    return { url: withDatabase(given, DATABASE), close: async () => {} };
  }
  const directory = values.keep ?? (await mkdtemp(join(tmpdir(), 'orgtrail-history-')));
  const first = await startEmbeddedServer(directory);
  const client = new Client({ connectionString: first.url });
  await client.connect();
  for (const [name, value] of [
    ...Object.entries({ shared_buffers: values.memory, max_wal_size: '8GB', checkpoint_timeout: '30min' }),
    ...Object.entries({ effective_cache_size: '12GB', random_page_cost: '1.1', work_mem: '64MB' }),
  ]) {
    await client.query(`alter system set ${name} = '${value}'`);
  }
  await client.end();
  await first.stop();
  const server = await startEmbeddedServer(directory);
  await createDatabase(server.url);
  return {
    url: withDatabase(server.url, DATABASE),
    close: async () => {
      await server.stop();
      if (values.keep === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
};

const createDatabase = async (url: string): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
  if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  await client.end();
};

/** Loads, unless the database has these events already. */
const load = async (pool: Pool): Promise<void> => {
  await migrateDatabase(pool);
  const { rows } = await pool.query<{ events: number; organizations: number }>(
    'select (select position from feed_head)::float8 as events, (select count(*) from organizations)::float8 as organizations',
  );
  if (rows[0]?.events === events && rows[0].organizations === organizations) return;
  if (rows[0]?.organizations !== 0) throw new Error('other events are there: another --keep, or remove what it has');
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 1_000);
  await makeLargeHistory(pool, {
    events,
    organizations,
    untilMs: Date.parse(UNTIL),
    days,
    withAccounts: true,
    onProgress: (done) => {
      if (done % 500_000 === 0) console.error(`${done} of ${events} events, ${seconds()} s`);
    },
  });
  console.error(`loaded and indexed: ${seconds()} s`);
};

interface Answer {
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly rows: number;
  readonly indexes: readonly string[];
}

const ask = async (client: Client, { sql }: Question, names: ReadonlyMap<string, string>): Promise<Answer> => {
  const timesMs: number[] = [];
  let rows = 0;
  for (let round = 0; round <= rounds; round += 1) {
    const startedAt = performance.now();
    rows = (await client.query(sql)).rowCount ?? 0;
    // The first one warms up.
    if (round > 0) timesMs.push(performance.now() - startedAt);
  }
  timesMs.sort((a, b) => a - b);
  const plan = await client.query<{ 'QUERY PLAN': string }>(`explain ${sql}`);
  const text = plan.rows.map((row) => row['QUERY PLAN']).join('\n');
  const at = (share: number) => timesMs[Math.min(timesMs.length - 1, Math.ceil(share * timesMs.length) - 1)] ?? 0;
  return { medianMs: at(0.5), p95Ms: at(0.95), rows, indexes: indexesIn(text, names) };
};

/** One line: what there is, on what. */
const describe = async (client: Client): Promise<string> => {
  const { rows } = await client.query(
    `select pg_size_pretty(sum(pg_table_size(inhrelid))) as heap, pg_size_pretty(sum(pg_indexes_size(inhrelid))) as indexes,
       current_setting('server_version') as version, current_setting('shared_buffers') as memory
     from pg_inherits where inhparent = 'audit_events'::regclass`,
  );
  const { heap, indexes, version, memory } = rows[0];
  return (
    `${events.toLocaleString('en')} events of ${organizations} organizations over ${days} days: ${heap}, indexes ${indexes}. PostgreSQL ${version}, ` +
    `shared_buffers ${memory}, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(1)}. Warm, ${rounds} times each.`
  );
};

const askQuestions = async (client: Client, questions: readonly Question[]): Promise<string> => {
  const names = await indexNames(client);
  const lines = ['| question, over 90 days | median ms | p95 ms | rows | index |', '|---|---|---|---|---|'];
  for (const question of questions) {
    const { medianMs, p95Ms, rows, indexes } = await ask(client, question, names);
    const used = indexes.map((index) => `\`${index}\``).join(', ') || 'none';
    lines.push(`| ${question.name} | ${medianMs.toFixed(1)} | ${p95Ms.toFixed(1)} | ${rows} | ${used} |`);
  }
  return lines.join('\n');
};

/** Prints a table as soon as there is one, and puts it into the report. */
const publish = async (name: string, text: string): Promise<void> => {
  console.log(`${text}\n`);
  if (values.report !== undefined) await writeReport(values.report, undefined, [{ name, text }]);
};

const server = await openServer();
const pool = createPool(server.url, 4, () => {});
const client = new Client({ connectionString: server.url });
try {
  await load(pool);
  const kinds = values['search-index']
    .split(',')
    .filter((kind): kind is SearchIndexKind => kind === 'json' || kind === 'text');
  for (const kind of kinds) {
    const startedAt = performance.now();
    await createSearchIndex(pool, kind);
    console.error(`search index ${kind}: ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  }
  await client.connect();
  if (values.only !== 'console') {
    const questions = [...questionsUntil(UNTIL), ...(kinds.length > 0 ? searchesUntil(UNTIL) : [])];
    await publish('history', `${await describe(client)}\n\n${await askQuestions(client, questions)}`);
  }
  if (values.only !== 'sql') {
    const figures = await askConsole(server.url, client, { rounds, untilMs: Date.parse(UNTIL), events });
    await publish('console', `${await describe(client)}\n\n${renderConsole(figures)}`);
  }
} finally {
  await client.end();
  await pool.end();
  await server.close();
}
