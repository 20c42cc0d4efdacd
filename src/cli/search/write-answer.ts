import { coverageBody } from '../../http/search/routes.ts';
import { summaryBody } from '../../http/search/summary-routes.ts';
import type { ExportFormat } from '../../search/ports.ts';
import { facetFields } from '../../search/summary/summary.ts';
import type { CliContext } from '../cli-context.ts';
import { searchText, verdict } from '../output/search-report.ts';
import { summaryText } from '../output/summary-report.ts';
import { written } from '../output/written.ts';
import { followSearch } from './follow.ts';
import type { SearchClient } from './search-client.ts';
import { isSummary, type SearchOptions } from './search-options.ts';

export const DEFAULT_LIMIT = 50;

/** Writes what the options ask for of one search. */
export const writeAnswer = async (client: SearchClient, options: SearchOptions, context: CliContext): Promise<void> => {
  const width = context.interactive ? context.stdout.columns : undefined;
  if (options.follow === true) {
    await followSearch(client, { after: options.after, ndjson: options.ndjson === true, width }, context);
  } else if (isSummary(options)) await writeSummary(client, options, context);
  else if (options.ndjson === true) await writeAll(client, 'ndjson', context);
  else if (options.csv === true) await writeAll(client, 'csv', context);
  else {
    const page = { cursor: options.cursor, limit: options.limit ?? DEFAULT_LIMIT };
    if (options.json === true) for await (const text of client.pageJson(page)) context.stdout.write(text);
    else context.stdout.write(searchText(await client.page(page), width));
  }
};

const writeSummary = async (
  client: SearchClient,
  { facet = [], json, count }: SearchOptions,
  { stdout, signal }: CliContext,
): Promise<void> => {
  // Before the events: what it calls collected must be stored by then.
  const coverage = await client.coverage();
  const summary = await client.summary(signal);
  const fields = facet.length === 0 ? facetFields : facet;
  stdout.write(
    json === true
      ? `${JSON.stringify({ ...summaryBody(summary, fields), coverage: coverageBody(coverage) }, null, 2)}\n`
      : summaryText(summary, { search: client.search, coverage, fields: facet, hasHistogram: count === true }),
  );
};

/** Every event: what cannot be read is thrown, so an output that ends with exit code 0 is whole. */
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
