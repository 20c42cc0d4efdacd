import { Command, InvalidArgumentError } from 'commander';
import { OrgtrailError } from '../../errors.ts';
import { withIds } from '../../http/search/answer.ts';
import { coverageBody } from '../../http/search/routes.ts';
import { summaryBody } from '../../http/search/summary-routes.ts';
import type { Pool } from '../../postgres/pool.ts';
import { logOf } from '../../search/history/resource-history.ts';
import type { SearchSource } from '../../search/ports.ts';
import { readSearch, type Search, type SearchField, type SearchReading, searchFields } from '../../search/search.ts';
import { readCursor, type SearchCursor } from '../../search/search-cursor.ts';
import { openExplorer } from '../../search/search-source.ts';
import { type FacetField, facetFields } from '../../search/summary/summary.ts';
import { collectionRulesOf } from '../../status/collection-rules.ts';
import { parseDateOrInstantMs } from '../../time/instant.ts';
import { accountIds } from '../account-ids.ts';
import type { CliContext } from '../cli-context.ts';
import { organizationIds } from '../organization-ids.ts';
import { historyJson, historyText } from '../output/history-report.ts';
import { answerSearch, searchJson, searchText, verdict } from '../output/search-report.ts';
import { summaryText } from '../output/summary-report.ts';
import { bundleJson, bundleSearch, bundleText } from '../search-bundle.ts';
import { searchDescriptions, searchHelp } from '../search-help.ts';
import { readTime } from '../time-options.ts';
import { withDatabase } from '../with-database.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;

const flags: readonly SearchField[] = ['defects', 'changed'];

type Options = Readonly<Record<string, string | boolean | number | undefined | readonly string[]>> & {
  readonly limit?: number;
  readonly cursor?: string;
  readonly historyOf?: number;
  readonly bundle?: string;
  readonly json?: boolean;
  readonly ndjson?: boolean;
  readonly count?: boolean;
  readonly facet?: readonly FacetField[];
};

const readLimit = (text: string): number => {
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`It must be an integer between 1 and ${MAX_LIMIT}.`);
};

const readPosition = (text: string): number => {
  const position = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : 0;
  if (Number.isSafeInteger(position) && position > 0) return position;
  throw new InvalidArgumentError('It must be the position of an event, such as 48213: the last column of a search.');
};

export const searchCommand = (context: CliContext): Command => {
  const command = new Command('search')
    .description('Search stored events, newest first')
    .argument('[query...]', 'a query line: actor:mira* -action:view status:4xx');
  for (const field of searchFields) {
    const value = flags.includes(field) ? '' : ' <value>';
    command.option(`${optionOf(field)}${value}`, searchDescriptions[field] ?? field);
  }
  return command
    .option('--count', 'print how many events match and when they happened, instead of the events')
    .option('--facet <field>', 'print the most frequent values of a field; may be repeated', readFacet, [])
    .option('--history-of <position>', 'all changes of the resource of the event at this position', readPosition)
    .option('--bundle <dir>', 'write all matching events with their proofs to a folder that does not exist yet')
    .option('--limit <number>', `events per page (default: ${DEFAULT_LIMIT})`, readLimit)
    .option('--cursor <cursor>', 'continue with another page: the cursor from the last line or "next"')
    .option('--json', 'print a page as JSON')
    .option('--ndjson', 'print all matching events, one JSON object per line')
    .addHelpText('after', searchHelp)
    .action((query: readonly string[], given: Options) => {
      const options = withLine(given, query);
      return withDatabase(context, async (pool, { config, url, logger }) => {
        const nowMs = Date.now();
        if (options.historyOf !== undefined) refuseFilters(options);
        const read = await readOptions(pool, options, nowMs);
        const cursor = readPage(options);
        const explorer = openExplorer(url, logger, () => nowMs, {
          ...collectionRulesOf(config),
          accounts: config.accounts,
        });
        try {
          // Names in the query line.
          const reading = sound(await withIds(explorer.source, read));
          if (options.historyOf !== undefined)
            await writeHistory(explorer.source, options.historyOf, { options, context });
          else if (options.bundle !== undefined)
            await writeBundle(pool, explorer.source, { folder: options.bundle, reading, nowMs, options, context });
          else if (isSummary(options)) await writeSummary(explorer.source, reading, options, context);
          else if (options.ndjson === true) await writeAll(explorer.source, reading.search, context);
          else await writePage(explorer.source, reading, { cursor, options, context });
        } finally {
          await explorer.close();
        }
      });
    });
};

/** The argument is a query line, beside the one of `--q`. */
const withLine = (options: Options, query: readonly string[]): Options => {
  const line = [...(options['q'] === undefined ? [] : [String(options['q'])]), ...query].join(' ');
  return line === '' ? options : { ...options, q: line };
};

const readFacet = (text: string, others: readonly FacetField[]): readonly FacetField[] => {
  const field = facetFields.find((one) => one === text);
  if (field === undefined) throw new InvalidArgumentError(`It must be one of ${facetFields.join(', ')}.`);
  return [...others, field];
};

/** `--resource-type`. */
const optionOf = (field: SearchField): string => `--${field.replaceAll('_', '-')}`;

const keyOf = (field: SearchField): string => field.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

const readOptions = async (pool: Pool, options: Options, nowMs: number): Promise<SearchReading> => {
  const query: Partial<Record<SearchField, string>> = {};
  for (const field of searchFields) {
    const value = options[keyOf(field)];
    if (value !== undefined) query[field] = String(value);
  }
  for (const field of ['since', 'before'] as const) {
    const text = query[field];
    // What is collected a moment later is no gap of a search up to now.
    if (field === 'before' && text === 'now') delete query[field];
    if (query[field] === undefined) continue;
    // What the search reads by itself keeps its microseconds.
    if (text === undefined || parseDateOrInstantMs(text) !== undefined) continue;
    query[field] = new Date(readTime(optionOf(field), text, nowMs)).toISOString();
  }
  if (query.organization !== undefined) {
    const [id = query.organization] = await organizationIds(pool, [query.organization]);
    query.organization = id;
  }
  if (query.account !== undefined) {
    const [id = query.account] = await accountIds(pool, [query.account]);
    query.account = id;
  }
  return sound(readSearch(query, nowMs));
};

/** The reading, if it has no faults. */
const sound = (reading: SearchReading): SearchReading => {
  const { faults } = reading;
  if (faults.length === 0) return reading;
  throw new OrgtrailError('usage', faults.map(({ field, reason }) => `${optionOf(field)} ${reason}`).join('; '));
};

const readPage = (options: Options): SearchCursor | undefined => {
  const { cursor: text, limit, ndjson, bundle } = options;
  if (isSummary(options) && (text !== undefined || limit !== undefined || ndjson === true || bundle !== undefined))
    throw new OrgtrailError(
      'usage',
      '--count and --facet look at all events: they cannot be used with --cursor, --limit, --ndjson or --bundle',
    );
  if (bundle !== undefined && (text !== undefined || limit !== undefined || ndjson === true))
    throw new OrgtrailError('usage', '--bundle has all events: it cannot be used with --cursor, --limit or --ndjson');
  if (text === undefined) return undefined;
  if (ndjson === true) throw new OrgtrailError('usage', '--ndjson prints all events: it has no --cursor');
  const cursor = readCursor(text);
  if (cursor === undefined) throw new OrgtrailError('usage', '--cursor is not a cursor of a search');
  return cursor;
};

/** A filter that does nothing would make a history look like all of what was asked for. */
const refuseFilters = (options: Options): void => {
  const names = [
    ...searchFields.map((field) => [optionOf(field), keyOf(field)] as const),
    ['--cursor', 'cursor'] as const,
    ['--ndjson', 'ndjson'] as const,
    ['--bundle', 'bundle'] as const,
    ['--count', 'count'] as const,
  ];
  const facets = options.facet?.length === 0 ? [] : ['--facet'];
  const given = [...names.flatMap(([name, key]) => (options[key] === undefined ? [] : [name])), ...facets];
  if (given.length === 0) return;
  throw new OrgtrailError(
    'usage',
    `--history-of has all events of one resource: it cannot be used with ${given.join(', ')}`,
  );
};

const writeHistory = async (
  source: SearchSource,
  position: number,
  { options, context }: { readonly options: Options; readonly context: CliContext },
): Promise<void> => {
  const detail = await source.event({ position });
  // Before the events: what it calls collected must be stored by then.
  const coverage = detail && (await source.coverage(logOf(detail.event)));
  const history = await source.history(position, { limit: options.limit ?? DEFAULT_LIMIT, signal: context.signal });
  if (history === undefined || coverage === undefined) {
    throw new OrgtrailError('usage', `no event has the position ${position}`, {
      hint: 'it may be of another database, or retention may have dropped it',
    });
  }
  if (options.json === true) for await (const text of historyJson(source, history)) context.stdout.write(text);
  else context.stdout.write(historyText(history, coverage));
};

const writePage = async (
  source: SearchSource,
  reading: SearchReading,
  {
    cursor,
    options,
    context,
  }: { readonly cursor: SearchCursor | undefined; readonly options: Options; readonly context: CliContext },
): Promise<void> => {
  const answer = await answerSearch(source, reading, { cursor, limit: options.limit ?? DEFAULT_LIMIT });
  if (options.json === true) for await (const text of searchJson(source, answer)) context.stdout.write(text);
  else context.stdout.write(searchText(answer));
};

const isSummary = ({ count, facet = [] }: Options): boolean => count === true || facet.length > 0;

const writeSummary = async (
  source: SearchSource,
  { search }: SearchReading,
  options: Options,
  context: CliContext,
): Promise<void> => {
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search);
  const summary = await source.summary(search, 'exact', context.signal);
  const { facet = [] } = options;
  context.stdout.write(
    options.json === true
      ? `${JSON.stringify({ ...summaryBody(summary, facet.length === 0 ? facetFields : facet), coverage: coverageBody(coverage) }, null, 2)}\n`
      : summaryText(summary, { search, coverage, fields: facet, hasHistogram: options.count === true }),
  );
};

const writeBundle = async (
  pool: Pool,
  source: SearchSource,
  {
    folder,
    reading,
    nowMs,
    options,
    context,
  }: {
    readonly folder: string;
    readonly reading: SearchReading;
    readonly nowMs: number;
    readonly options: Options;
    readonly context: CliContext;
  },
): Promise<void> => {
  const bundle = await bundleSearch(pool, folder, { source, reading, nowMs, signal: context.signal });
  context.stdout.write(
    options.json === true ? `${JSON.stringify(bundleJson(folder, bundle), null, 2)}\n` : bundleText(folder, bundle),
  );
};

/** Every event: what cannot be read is thrown, so an output that ends with exit code 0 is whole. */
const writeAll = async (source: SearchSource, search: Search, context: CliContext): Promise<void> => {
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search);
  for await (const { lines } of source.export(search, 'ndjson')) {
    if (context.signal.aborted) return;
    await new Promise<void>((resolve, reject) => {
      context.stdout.write(lines, (error) => (error ? reject(error) : resolve()));
    });
  }
  context.stderr.write(`${verdict(search, coverage, true)}\n`);
};
