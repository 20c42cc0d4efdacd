import { Command } from 'commander';
import { searchedArchiveOf } from '../../app/archive.ts';
import { loadConfig } from '../../config/config.ts';
import { OrgtrailError } from '../../errors.ts';
import { openFeed } from '../../feed/feed-source.ts';
import { withIds } from '../../http/search/answer.ts';
import { isLoopbackHost } from '../../postgres/loopback.ts';
import type { Pool } from '../../postgres/pool.ts';
import { logOf } from '../../search/history/resource-history.ts';
import type { SearchSource } from '../../search/ports.ts';
import { type SearchField, type SearchReading, searchFields } from '../../search/search.ts';
import { openExplorer } from '../../search/search-source.ts';
import { collectionRulesOf } from '../../status/collection-rules.ts';
import { accountIds } from '../account-ids.ts';
import type { CliContext } from '../cli-context.ts';
import { organizationIds } from '../organization-ids.ts';
import { historyJson, historyText } from '../output/history-report.ts';
import { withDatabase } from '../with-database.ts';
import { daemonClient } from './daemon-client.ts';
import { databaseClient } from './database-client.ts';
import { isAboutSaved, runSaved, withSaved } from './saved-searches.ts';
import { bundleJson, bundleSearch, bundleText } from './search-bundle.ts';
import { searchDescriptions, searchHelp } from './search-help.ts';
import {
  optionOf,
  queryOf,
  readAfter,
  readFacet,
  readLimit,
  readPosition,
  readTokenFile,
  readUrl,
  refuseConflicts,
  type SearchOptions,
  sound,
  soundReading,
  withLine,
} from './search-options.ts';
import { DEFAULT_LIMIT, writeAnswer } from './write-answer.ts';

const flags: readonly SearchField[] = ['defects', 'changed', 'archive'];

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
    .option('--follow', 'print new matches as they are stored, until stopped')
    .option('--after <position>', 'with --follow, begin behind this position instead of at the end', readAfter)
    .option('--history-of <position>', 'all changes of the resource of the event at this position', readPosition)
    .option('--saved <name>', 'a saved search; other options replace what it says, a query line adds to it')
    .option('--save <name>', 'save this search under a name, instead of searching')
    .option('--list-saved', 'show the saved searches')
    .option('--delete-saved <name>', 'delete a saved search')
    .option('--bundle <path>', 'write all matching events with their proofs to a new folder, or to a new file *.zip')
    .option('--limit <number>', `events per page (default: ${DEFAULT_LIMIT})`, readLimit)
    .option('--cursor <cursor>', 'continue with another page: the cursor from the last line or "next"')
    .option('--json', 'print a page as JSON')
    .option('--ndjson', 'print all matching events, one JSON object per line')
    .option('--csv', 'print all matching events as CSV')
    .option('--url <url>', 'ask the daemon at this address instead of the database')
    .option('--token-file <file>', 'with --url: a file with a token that has the scope search')
    .addHelpText('after', searchHelp)
    .action((query: readonly string[], given: SearchOptions) => {
      const options = withLine(given, query);
      if (isAboutSaved(options)) return runSaved(options, context);
      refuseConflicts(options);
      return options.url === undefined
        ? searchDatabase(options, context)
        : searchDaemon(readUrl(options.url), options, context);
    });
};

/** The daemon looks up the names of organizations and accounts. */
const searchDaemon = async (url: URL, options: SearchOptions, context: CliContext): Promise<void> => {
  const { search } = soundReading(queryOf(options, Date.now()), Date.now());
  const { http } = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  const token = options.tokenFile === undefined ? http.feedToken : readTokenFile(options.tokenFile);
  if (token !== undefined && url.protocol === 'http:' && !isLoopbackHost(url.hostname))
    context.stderr.write(`orgtrail: --url sends the token over plain http to ${url.hostname}\n`);
  await writeAnswer(daemonClient({ url, token }, search, context.signal), options, context);
};

const searchDatabase = (given: SearchOptions, context: CliContext): Promise<void> =>
  withDatabase(context, async (pool, { config, url, logger }) => {
    const nowMs = Date.now();
    const options = await withSaved(pool, given);
    const read = await readingIn(pool, options, nowMs);
    const rules = { ...collectionRulesOf(config), accounts: config.accounts };
    const explorer = openExplorer(url, logger, () => nowMs, rules, searchedArchiveOf(config));
    const feed = options.follow === true ? openFeed(url, logger) : undefined;
    const { source } = explorer;
    try {
      // Names in the query line.
      const reading = sound(await withIds(source, read));
      const { historyOf, bundle } = options;
      if (historyOf !== undefined) await writeHistory(source, historyOf, options, context);
      else if (bundle !== undefined) await writeBundle(pool, bundle, { source, reading, nowMs }, options, context);
      else {
        const wait = feed?.source.waitBeyond ?? (async () => {});
        await writeAnswer(databaseClient(source, reading, wait), options, context);
      }
    } finally {
      await feed?.close();
      await explorer.close();
    }
  });

/** Names of organizations and accounts are looked up with the candidates for misspelt ones. */
const readingIn = async (pool: Pool, options: SearchOptions, nowMs: number): Promise<SearchReading> => {
  const query = queryOf(options, nowMs);
  if (query.organization !== undefined) {
    const [id = query.organization] = await organizationIds(pool, [query.organization]);
    query.organization = id;
  }
  if (query.account !== undefined) {
    const [id = query.account] = await accountIds(pool, [query.account]);
    query.account = id;
  }
  return soundReading(query, nowMs);
};

const writeHistory = async (
  source: SearchSource,
  position: number,
  options: SearchOptions,
  context: CliContext,
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

const writeBundle = async (
  pool: Pool,
  target: string,
  asked: { readonly source: SearchSource; readonly reading: SearchReading; readonly nowMs: number },
  options: SearchOptions,
  context: CliContext,
): Promise<void> => {
  const bundle = await bundleSearch(pool, target, { ...asked, signal: context.signal });
  context.stdout.write(
    options.json === true ? `${JSON.stringify(bundleJson(target, bundle), null, 2)}\n` : bundleText(target, bundle),
  );
};
