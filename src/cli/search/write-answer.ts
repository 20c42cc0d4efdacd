import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrgtrailError, reasonOf, SearchError } from '../../base/errors.ts';
import { DEFAULT_LIMIT, withFacets } from '../../search/contract.ts';
import type { ExportFormat } from '../../search/search-source.ts';
import { facetFields } from '../../search/summary/summary.ts';
import type { CliContext } from '../command.ts';
import { written } from '../output/terminal.ts';
import type { SearchClient, ShownArrivals } from './clients.ts';
import { eventTable } from './event-table.ts';
import { historyText, searchText, summaryText, verdict } from './reports.ts';
import { isSummary, type SearchOptions } from './search-options.ts';

export const writeAnswer = async (client: SearchClient, options: SearchOptions, context: CliContext): Promise<void> => {
  const width = context.interactive ? context.stdout.columns : undefined;
  if (options.historyOf !== undefined) await writeHistory(client, options.historyOf, options, context);
  else if (options.follow === true) {
    await followSearch(client, { after: options.after, ndjson: options.ndjson === true, width }, context);
  } else if (isSummary(options)) await writeSummary(client, options, context);
  else if (options.ndjson === true) await writeAll(client, 'ndjson', context);
  else if (options.csv === true) await writeAll(client, 'csv', context);
  else {
    const page = { cursor: options.cursor, limit: options.limit ?? DEFAULT_LIMIT };
    if (options.json === true) for await (const text of client.pageJson(page)) context.stdout.write(text);
    else context.stdout.write(searchText(client.search, await client.page(page), width));
  }
};

const writeHistory = async (
  client: SearchClient,
  position: number,
  { limit = DEFAULT_LIMIT, json }: SearchOptions,
  { stdout, signal }: CliContext,
): Promise<void> => {
  let text = '';
  for await (const piece of client.historyJson(position, limit, signal)) {
    if (json === true) await written(stdout, piece);
    else text += piece.toString();
  }
  if (json !== true) stdout.write(historyText(text));
};

const writeSummary = async (
  client: SearchClient,
  { facet = [], json, count }: SearchOptions,
  { stdout, signal }: CliContext,
): Promise<void> => {
  const summary = withFacets(await client.summary(signal), facet.length === 0 ? facetFields : facet);
  const text = () => summaryText(summary, { search: client.search, fields: facet, hasHistogram: count === true });
  stdout.write(json === true ? `${JSON.stringify(summary, null, 2)}\n` : text());
};

/** Throws for what cannot be read: an output with exit code 0 is whole. */
const writeAll = async (
  client: SearchClient,
  format: ExportFormat,
  { stdout, stderr, signal }: CliContext,
): Promise<void> => {
  // Before the events: what it calls collected must be stored by then.
  const coverage = await client.coverage();
  for await (const lines of client.export(format, signal)) {
    if (signal.aborted) return;
    await written(stdout, lines);
  }
  stderr.write(`${verdict(client.search, coverage, true)}\n`);
};

const RETRY_AFTER_MS = 2_000;

/** `after` undefined: begin at the end. */
type Following = Readonly<{ after: number | undefined; ndjson: boolean; width: number | undefined }>;

/** Prints new matches as they are stored, each once, also those stored while nothing answers. Throws if the database is another. */
const followSearch = async (
  client: SearchClient,
  { after: first, ndjson, width }: Following,
  { stdout, stderr, signal }: CliContext,
): Promise<void> => {
  const aborted = once(signal, 'abort');
  const table = eventTable(width);
  let after = first;
  let feedId: string | undefined;
  if (!ndjson) stdout.write(`${table.header()}\n`);
  while (!signal.aborted) {
    try {
      const found = await client.arrivals(after, signal);
      requireSame(found, after, feedId);
      feedId = found.feedId;
      const lines = ndjson ? found.lines : found.events.map(table.row);
      // A reader that does not read must not hold up a stop.
      if (lines.length > 0) await Promise.race([written(stdout, `${lines.join('\n')}\n`), aborted]);
      after = found.until;
      if (after >= found.head) await client.waitBeyond(after, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!passes(error)) throw error;
      stderr.write(`orgtrail: no answer, trying again: ${reasonOf(error)}\n`);
      await sleep(RETRY_AFTER_MS, undefined, { signal }).catch(() => {});
    }
  }
};

const passes = (error: unknown): boolean => {
  if (error instanceof OrgtrailError)
    return error.code === 'database_unreachable' || error.code === 'daemon_unreachable';
  return !(error instanceof SearchError) || error.reason === 'timeout';
};

const requireSame = (found: ShownArrivals, after: number | undefined, feedId: string | undefined): void => {
  if (feedId !== undefined && found.feedId !== feedId)
    throw new OrgtrailError('usage', 'this is another database than before', { hint: 'start again without --after' });
  if (after !== undefined && found.head < after)
    throw new OrgtrailError('usage', `the position ${after} is beyond the end, ${found.head}`, {
      hint: 'it belongs to another database, or to a time before a restore: start again without --after',
    });
};
