import { Command, InvalidArgumentError, Option } from 'commander';
import { requireNoRestore } from '../../archive/catalogue.sql.ts';
import { loadDuck } from '../../archive/parquet/parquet.ts';
import type { QueryResult, QueryValue } from '../../archive/parquet/query-duck.ts';
import { type QueriedHistory, queryHistory } from '../../archive/query/query-history.ts';
import { openObjectStore } from '../../archive/store.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { counted, printable, table } from '../../base/text.ts';
import { type Coverage, coverageBody } from '../../search/contract.ts';
import { csvRecord } from '../../search/event-csv.ts';
import { readSearchCoverage } from '../../search/search-coverage.sql.ts';
import { collectionRulesOf } from '../../status/health.ts';
import { type CliContext, type Given, withDatabase } from '../command.ts';
import { readTime, timeHelp } from '../options.ts';
import { showWork, written } from '../output/terminal.ts';
import { verdict } from '../search/reports.ts';

const DEFAULT_MEMORY_MB = 512;
const MIN_MEMORY_MB = 64;

type Options = Given<'since' | 'before', 'json' | 'csv' | 'ndjson'> & { readonly memory: number };

export const queryCommand = (context: CliContext): Command =>
  new Command('query')
    .description('Run SQL over archived months and the database together')
    .argument('<sql>', 'one statement that reads, in the SQL of DuckDB, over audit_events')
    .option('--since <time>', timeHelp('inclusive'))
    .option('--before <time>', timeHelp('exclusive'))
    .option(
      '--memory <MB>',
      'what DuckDB may take; beyond it the temporary directory is used',
      readMemory,
      DEFAULT_MEMORY_MB,
    )
    .addOption(new Option('--json', 'print one JSON document').conflicts(['csv', 'ndjson']))
    .addOption(new Option('--csv', 'print CSV').conflicts('ndjson'))
    .option('--ndjson', 'print one JSON object per row')
    .addHelpText('after', queryHelp)
    .action((sql: string, options: Options) => runQuery(sql, options, context));

const readMemory = (text: string): number => {
  const megabytes = Number(text);
  if (Number.isSafeInteger(megabytes) && megabytes >= MIN_MEMORY_MB) return megabytes;
  throw new InvalidArgumentError(`It must be a number of megabytes, at least ${MIN_MEMORY_MB}.`);
};

const runQuery = async (sql: string, options: Options, context: CliContext): Promise<void> => {
  const nowMs = Date.now();
  const range = rangeOf(options, nowMs);
  await loadDuck('orgtrail query');
  await withDatabase(context, async (pool, { config }) => {
    await requireNoRestore(pool);
    const { archive } = config;
    const store = archive && openObjectStore(archive.target, archive.s3);
    const work = showWork(context);
    const observer = {
      fetched: (bytes: number, all: number) => work.at('fetching', bytes / 1e6, 'MB', Math.ceil(all / 1e6)),
      copied: (rows: number) => work.at('reading PostgreSQL', rows, 'rows'),
      read: (history: QueriedHistory) => {
        work.finish();
        context.stderr.write(`${readLine(history)}\n`);
      },
    };
    try {
      // Before the events: what it calls collected must be stored by then.
      const rules = { ...collectionRulesOf(config), accounts: config.accounts };
      const coverage = coverageBody(await readSearchCoverage(pool, coverageRange(range, nowMs), rules));
      const { signal } = context;
      const query = { sql, range, memoryMb: options.memory };
      await queryHistory({ pool, store, observer, signal }, query, async (result, history) => {
        await writeResult(result, formatOf(options), factsOf(history, coverage), context);
        context.stderr.write(`${completeness(range.sinceMs, coverage, history)}\n`);
      });
    } finally {
      await store?.close();
    }
  });
};

const formatOf = ({ json, csv, ndjson }: Options): QueryFormat => {
  if (json === true) return 'json';
  if (csv === true) return 'csv';
  return ndjson === true ? 'ndjson' : 'table';
};

const rangeOf = ({ since, before }: Options, nowMs: number) => {
  const sinceMs = since === undefined ? undefined : readTime('--since', since, nowMs);
  const beforeMs = before === undefined ? undefined : readTime('--before', before, nowMs);
  if (sinceMs !== undefined && beforeMs !== undefined && sinceMs >= beforeMs) {
    throw new OrgtrailError('usage', '--before must be later than --since');
  }
  return { sinceMs, beforeMs };
};

/** The database's clock may be a little ahead: now is no end. */
const coverageRange = ({ sinceMs, beforeMs }: ReturnType<typeof rangeOf>, nowMs: number) => {
  const instant = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
  const isOpen = beforeMs !== undefined && beforeMs <= nowMs && nowMs - beforeMs < 1_000;
  return { since: instant(sinceMs), before: isOpen ? undefined : instant(beforeMs), organization: undefined };
};

const queryHelp = `
Runs one SQL statement of DuckDB over all events that are kept: the archived months, from objects whose SHA-256 is that of the catalogue,
and the rows of PostgreSQL, as one view audit_events with each event once. What is committed after the start is left out. Objects and rows
are copied to the temporary directory (TMPDIR) first: --since and --before set a time, and months outside of it are not fetched.
The statement can read that view and nothing else: no file, no network, no setting; nothing is written. Stderr says what was read, and
whether that time is complete. The columns are those of the archive: docs/query.md.

Needs DuckDB (docs/archive.md), and ORGTRAIL_ARCHIVE if months of that time are in an archive alone.

Examples:
  $ orgtrail query 'describe audit_events'
  $ orgtrail query --since 2024-01-01 --before 2024-04-01 \\
      "select actor_email, count(*) from audit_events where action_type = 'delete' group by all order by 2 desc limit 20"
  $ orgtrail query --since 90d --csv "select * exclude raw from audit_events where resource_type = 'zone'" > zones.csv
  $ orgtrail query --ndjson "select raw ->> '$.resource.response.name' as name from audit_events where resource_product = 'dns'"
  $ orgtrail query --json "select date_trunc('month', action_time) as month, count(*) as events from audit_events group by 1 order by 1"`;

type QueryFormat = 'table' | 'json' | 'csv' | 'ndjson';
const TABLE_ROWS = 1_000;
const CELL_WIDTH = 60;
type Out = Pick<CliContext, 'stdout' | 'stderr'>;
type Row = readonly QueryValue[];

/** A table has the first thousand rows, and a line on stderr if there are more. `facts` end the document of `--json`. */
const writeResult = async (
  result: QueryResult,
  format: QueryFormat,
  facts: Readonly<Record<string, unknown>>,
  out: Out,
): Promise<void> => {
  if (format === 'table') return await writeTable(result, out);
  if (format === 'json') return await writeJson(result, facts, out);
  const line = format === 'csv' ? csvLine : jsonLine(result);
  if (format === 'csv') await written(out.stdout, csvRecord(result.columns.map(({ name }) => name)));
  for await (const rows of result.rows()) await written(out.stdout, rows.map(line).join(''));
};

const writeTable = async (result: QueryResult, { stdout, stderr }: Out): Promise<void> => {
  const shown: string[][] = [];
  let hasMore = false;
  for await (const rows of result.rows()) {
    const left = TABLE_ROWS - shown.length;
    for (const row of rows.slice(0, left)) shown.push(row.map(cell));
    hasMore = rows.length > left;
    if (hasMore) break;
  }
  const header = result.columns.map(({ name }) => printable(name, CELL_WIDTH));
  await written(stdout, table(header, shown));
  if (hasMore) {
    stderr.write(`these are the first ${TABLE_ROWS.toLocaleString('en')} rows: --csv, --ndjson and --json print all\n`);
  }
};

const cell = (value: QueryValue): string => (value === null ? '-' : printable(textOf(value), CELL_WIDTH));

const textOf = (value: QueryValue): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));

const csvLine = (row: Row): string =>
  csvRecord(row.map((value) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : value)));

const jsonLine = (result: QueryResult): ((row: Row) => string) => {
  const text = jsonOf(result);
  return (row) => `${text(row)}\n`;
};

/** By hand: a column may be called `__proto__`, or 7, which would come first. */
const jsonOf = ({ columns }: QueryResult): ((row: Row) => string) => {
  const names = columns.map(({ name }) => JSON.stringify(name));
  return (row) => `{${row.map((value, index) => `${names[index]}:${JSON.stringify(value)}`).join(',')}}`;
};

const writeJson = async (
  result: QueryResult,
  facts: Readonly<Record<string, unknown>>,
  { stdout }: Out,
): Promise<void> => {
  const text = jsonOf(result);
  await written(stdout, `{"columns":${JSON.stringify(result.columns)},"rows":[`);
  let separator = '\n';
  for await (const rows of result.rows()) {
    if (rows.length === 0) continue;
    await written(stdout, separator + rows.map(text).join(',\n'));
    separator = ',\n';
  }
  await written(stdout, `],${JSON.stringify(facts).slice(1)}\n`);
};

const number = (value: number): string => value.toLocaleString('en');

const readLine = ({ months, objects, bytes, archivedEvents, storedEvents, upTo }: QueriedHistory): string => {
  const [first, last] = [months[0], months.at(-1)];
  const span = first === last ? first : `${first} to ${last}`;
  const archived =
    objects === 0
      ? 'no archived month'
      : `${counted(months.length, 'archived month')} (${span}: ${counted(objects, 'object')}, ${number(archivedEvents)} events, ${number(bytes)} bytes)`;
  return `read: ${archived}, ${counted(storedEvents, 'row')} of PostgreSQL, up to position ${upTo}`;
};

const completeness = (sinceMs: number | undefined, coverage: Coverage, { gone, months }: QueriedHistory): string => {
  const [first] = gone;
  if (first !== undefined) {
    const events = gone.reduce((sum, each) => sum + each.events, 0);
    const names = gone.length === 1 ? first.month : `${first.month} to ${gone.at(-1)?.month}`;
    return `This is incomplete: ${number(events)} events of ${names} were dropped without an archive.`;
  }
  const isCollected = coverage.incomplete === 0 && coverage.organizations + coverage.accounts > 0;
  const isArchivedToo = coverage.begins_earlier && months.length > 0 && isCollected;
  // What is no longer collected may be in the archive.
  if (isArchivedToo)
    return `${verdict({ archive: true }, coverage, true)} Of the time before, this is what was archived, complete or not.`;
  // Months only in the archive were read, or the query would not have run.
  return verdict({ archive: true, since: sinceMs }, coverage, true);
};

const factsOf = (history: QueriedHistory, coverage: Coverage) => ({
  read: {
    archived_months: history.months,
    objects: history.objects,
    bytes: history.bytes,
    archived_events: history.archivedEvents,
    stored_events: history.storedEvents,
    up_to: history.upTo,
    dropped_without_archive: history.gone,
  },
  coverage,
});
