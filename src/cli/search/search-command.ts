import { Command } from 'commander';
import { accountIds, organizationIds } from '../../app/chosen-sources.ts';
import { openFeed } from '../../feed/open-feed.ts';
import type { Pool } from '../../postgres/pool.ts';
import { DEFAULT_LIMIT, MAX_LIMIT } from '../../search/contract.ts';
import { readSearch, type SearchField, type SearchReading, searchFields } from '../../search/query/search.ts';
import { resolveNames } from '../../search/run-search.ts';
import { listSaved, type SavedSearch, savedSearchesIn } from '../../search/saved-searches.sql.ts';
import type { SearchSource } from '../../search/search-source.ts';
import { openExplorer } from '../../search/search-source.ts';
import { collectionRulesOf } from '../../status/health.ts';
import { type CliContext, print, withDatabase } from '../command.ts';
import { type Daemon, daemonOf, explainForeign } from '../daemon.ts';
import { askDaemon, runOperation } from '../operation-command.ts';
import { optionOf, timeHelp, wholeNumber } from '../options.ts';
import { daemonClient, databaseClient } from './clients.ts';
import { changeSaved, withSaved } from './saved-searches.ts';
import { bundleJson, bundleSearch, bundleText } from './search-bundle.ts';
import {
  queryOf,
  readAfter,
  readFacet,
  readPosition,
  refuseConflicts,
  requireValid,
  type SearchOptions,
  withLine,
} from './search-options.ts';
import { writeAnswer } from './write-answer.ts';

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
    .option('--tell <sink>', 'with --save or --saved, send what newly matches to this sink; none: no longer')
    .option('--every <duration>', 'with --tell, one message in this time at most: 1m to 7d (default: 15m)')
    .option('--list-saved', 'show the saved searches')
    .option('--delete-saved <name>', 'delete a saved search')
    .option('--bundle <path>', 'write all matching events with their proofs to a new folder, or to a new file *.zip')
    .option('--limit <number>', `events per page (default: ${DEFAULT_LIMIT})`, wholeNumber(1, MAX_LIMIT))
    .option('--cursor <cursor>', 'continue with another page: the cursor from the last line or "next"')
    .option('--json', 'print a page as JSON')
    .option('--ndjson', 'print all matching events, one JSON object per line')
    .option('--csv', 'print all matching events as CSV')
    .option('--url <url>', 'ask the daemon at this address instead of the database')
    .option('--token-file <file>', 'with --url: a file with a token that has the scope search')
    .addHelpText('after', searchHelp)
    .action((query: readonly string[], given: SearchOptions) => {
      const options = withLine(given, query);
      refuseConflicts(options);
      if (options.listSaved === true) return runOperation(listSaved, {}, options, context);
      if (options.save !== undefined || options.deleteSaved !== undefined || options.tell !== undefined)
        return changeSaved(options, context);
      const daemon = options.bundle === undefined ? daemonOf(options, context) : undefined;
      return daemon === undefined ? searchDatabase(options, context) : searchDaemon(daemon, options, context);
    });
};

/** The daemon looks up names of organizations and accounts. */
const searchDaemon = async (daemon: Daemon, given: SearchOptions, context: CliContext): Promise<void> => {
  const options = await withSaved(given, async () => {
    const body = await askDaemon(daemon, listSaved, {}, context.signal);
    return explainForeign(daemon, () => listSaved.output.parse(body) as readonly SavedSearch[]);
  });
  const { search } = requireValid(readSearch(queryOf(options, Date.now()), Date.now()));
  await writeAnswer(daemonClient(daemon, search, context.signal), options, context);
};

const searchDatabase = (given: SearchOptions, context: CliContext): Promise<void> =>
  withDatabase(context, async (pool, { config, url, logger }) => {
    const nowMs = Date.now();
    const options = await withSaved(given, savedSearchesIn(pool).list);
    const read = await readingIn(pool, options, nowMs);
    const rules = { ...collectionRulesOf(config), accounts: config.accounts };
    const explorer = openExplorer(url, logger, () => nowMs, rules);
    const feed = options.follow === true ? openFeed(url, logger) : undefined;
    const { source } = explorer;
    try {
      const reading = requireValid(await resolveNames(source, read));
      const { bundle } = options;
      if (bundle !== undefined) await writeBundle(pool, bundle, { source, reading, nowMs }, options, context);
      else {
        const wait = feed?.source.waitBeyond ?? (async () => {});
        await writeAnswer(databaseClient(source, reading, wait), options, context);
      }
    } finally {
      await feed?.close();
      await explorer.close();
    }
  });

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
  return requireValid(readSearch(query, nowMs));
};

const writeBundle = async (
  pool: Pool,
  target: string,
  asked: { readonly source: SearchSource; readonly reading: SearchReading; readonly nowMs: number },
  options: SearchOptions,
  context: CliContext,
): Promise<void> => {
  const bundle = await bundleSearch(pool, target, { ...asked, signal: context.signal });
  print(context, options, bundleJson(target, bundle), bundleText(target, bundle));
};

const searchHelp = `
Runs the same searches as GET /v1/search and the console, on the database alone; with --url, it asks a daemon over HTTP, and needs no
database. An event must meet all conditions. The answer says whether it is complete: whether all of the time searched has been
collected. --actor takes an e-mail address, an IP address or network, the name or id of a token, an id, or how an e-mail address or
token begins (mira*); --text any part of an entry. On a terminal the table is as wide as the terminal: long names are cut, times and positions never.

--json prints a page as GET /v1/search does; continue with --cursor and its "next". --ndjson prints all matching events, newest
first, one per line in the native format of the feed, and --csv the same as CSV (RFC 4180, the columns of the console's export; a text
that a spreadsheet would run as a formula begins with an apostrophe). stderr says whether they are complete.

--follow prints new matches in the order in which they are stored, from now on, or from --after POSITION on. An entry may be stored
long after it happened. With --ndjson, each line has its position, to continue from.

--url needs a token with the scope search, unless the daemon is open on loopback: from --token-file, else ORGTRAIL_FEED_TOKEN.
--bundle, --save, --tell and --delete-saved need the database.

--bundle writes the matching events, the newest million at most, for others: the question, the exact entries, what was not collected at
the time and, if there is a log of evidence, the proof that each is in it. It is a folder, or one file if the name ends in .zip.
\`python3 verify.py\` in the folder, or \`orgtrail evidence verify DIR\`, verifies it without a database.

--save NAME keeps this search for all who may search, as the console does: its relative times stay relative. --saved NAME searches with
it. --list-saved, with --json or without, shows all of them, --delete-saved NAME removes one. Saving and deleting need an account with the
role orgtrail_ingest, or the owner of the schema.

--tell SINK sends what newly matches to a sink whose "events" are "searches", once each, with a link. Times of the search do not count: it
tells of what happens from now on. --list-saved shows the last match, and what fails.

A query line says the same and more in one argument: field:value terms that must all hold, a minus to exclude, commas between
alternatives, * at either end for any text, quotes around values with spaces. Its fields are the options without their dashes, and email,
ip, token, actor_id, actor_type, context, status, method, uri, agent and id. A word without a field is looked for in the text.
A line that begins with a minus comes after --.

--count prints how many events match and when they happened, --facet the most frequent values of a field: actor, action, result,
resource_type, product, organization, account, zone, ip or token. Both count for up to 10 seconds, and say if that is not all.

--history-of prints what became of the resource of one event, from all that is stored: every event about it, newest first, and
the lines that each changed. It is exact if the entry names its resource by an id or a path.

Examples:
  $ orgtrail search --since 7d --actor mira@example.com
  $ orgtrail search --since 24h --action delete --result failure --organization 'Acme Aerospace'
  $ orgtrail search 'actor:mira* -action:view,login status:4xx since:7d'
  $ orgtrail search --since 30d --count --facet actor --facet ip -- '-result:success'
  $ orgtrail search --ray 8f2c0d1e4b7a6c35
  $ orgtrail search --since 2026-01-01 --before 2026-02-01 --resource-type zone --ndjson > zones.ndjson
  $ orgtrail search --since 30d --text 'api.example.com' --json | jq '.events[].raw.actor.email'
  $ orgtrail search --since 90d --csv 'action:delete' > deletions.csv
  $ orgtrail search --follow 'result:failure -actor:ci*'
  $ orgtrail search --url https://orgtrail.example.com --token-file token --since 24h 'action:delete'
  $ orgtrail search --since 2026-01-01 --before 2026-02-01 --result failure --bundle failures-january.zip
  $ orgtrail search --since 24h 'result:failure -actor:ci*' --save 'Failures of people'
  $ orgtrail search --saved 'Failures of people' --tell team --every 1h
  $ orgtrail search --saved 'Failures of people' --since 7d --count --facet actor
  $ orgtrail search --history-of 48213`;

const searchDescriptions: Partial<Readonly<Record<SearchField, string>>> = {
  since: timeHelp('inclusive'),
  before: timeHelp('exclusive'),
  organization: 'name or id of an organization',
  account: 'name or id of an account',
  zone: 'name or id of a zone',
  actor: 'e-mail address, IP address, id or token id; email:, ip:, id: or token: in front says which',
  action: 'type of the action, such as create, update, delete',
  result: 'success, failure or partial',
  product: 'product of the resource',
  resource_type: 'type of the resource',
  resource: 'id of the resource',
  ray: 'Cloudflare ray id of the request',
  text: "any part of the entry's own JSON text",
  defects: 'only entries that could not be read in full',
  changed: 'only entries that changed later',
  q: 'a query line, as the argument',
  archive: 'search months that are in the archive alone as well',
  copies: 'first: of an entry in the logs of several accounts, only the first that matches; all is the default',
};
