import { Command, InvalidArgumentError, Option } from 'commander';
import { loadDuck } from '../../archive/parquet/duckdb.ts';
import { type QueriedHistory, queryHistory } from '../../archive/query/query-history.ts';
import { openObjectStore } from '../../archive/store/object-store.ts';
import { OrgtrailError } from '../../errors.ts';
import { readSearchCoverage } from '../../search/search-coverage.sql.ts';
import { collectionRulesOf } from '../../status/collection-rules.ts';
import type { CliContext } from '../cli-context.ts';
import { showWork } from '../evidence/work-line.ts';
import { readTime, timeHelp } from '../time-options.ts';
import { withDatabase } from '../with-database.ts';
import { queryHelp } from './query-help.ts';
import { type QueryFormat, writeResult } from './query-output.ts';
import { completeness, factsOf, readLine } from './query-report.ts';

const DEFAULT_MEMORY_MB = 512;
const MIN_MEMORY_MB = 64;

interface Options {
  readonly since?: string;
  readonly before?: string;
  readonly memory: number;
  readonly json?: boolean;
  readonly csv?: boolean;
  readonly ndjson?: boolean;
}

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
      const coverage = await readSearchCoverage(pool, coverageRange(range, nowMs), {
        ...collectionRulesOf(config),
        accounts: config.accounts,
      });
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

/** The clock of the database may be a little ahead: now is no end. */
const coverageRange = ({ sinceMs, beforeMs }: ReturnType<typeof rangeOf>, nowMs: number) => {
  const instant = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
  const isOpen = beforeMs !== undefined && beforeMs <= nowMs && nowMs - beforeMs < 1_000;
  return { since: instant(sinceMs), before: isOpen ? undefined : instant(beforeMs), organization: undefined };
};
