import type { SearchField } from '../../search/search.ts';
import { timeHelp } from '../time-options.ts';

/** What `orgtrail search --help` says below its options. */
export const searchHelp = `
Runs the same searches as GET /v1/search and the console, on the database alone; with --url, it asks a daemon over HTTP, and needs no
database. An event must meet all conditions. The answer says whether it is complete: whether all of the time searched has been
collected. --actor takes an e-mail address, an IP address or network, the name or id of a token, an id, or a beginning (mira*); --text any
part of an entry. On a terminal the table is as wide as the terminal: long names are cut, times and positions never.

--json prints a page as GET /v1/search does; continue with --cursor and its "next". --ndjson prints all matching events, newest
first, one per line in the native format of the feed, and --csv the same as CSV (RFC 4180, the columns of the console's export; a text
that a spreadsheet would run as a formula begins with an apostrophe). stderr says whether they are complete.

--follow prints new matches in the order in which they are stored, from now on, or from --after POSITION on. An entry may be stored
long after it happened. With --ndjson, each line has its position, to continue from.

--url needs a token with the scope search, unless the daemon is open on loopback: from --token-file, else ORGTRAIL_FEED_TOKEN.
--bundle and --history-of need the database.

--bundle writes the matching events, the newest million at most, for others: the question, the exact entries, what was not collected at
the time and, if there is a log of evidence, the proof that each is in it. It is a folder, or one file if the name ends in .zip.
\`python3 verify.py\` in the folder, or \`orgtrail evidence verify DIR\`, verifies it without a database.

--save NAME keeps this search for all who may search, as the console does: its relative times stay relative. --saved NAME searches with
it. --list-saved, with --json or without, shows all of them, --delete-saved NAME removes one. Saving and deleting need an account with the
role orgtrail_ingest, or the owner of the schema.

A query line says the same and more in one argument: field:value terms that must all hold, a minus to exclude, commas between
alternatives, * for any rest, quotes around values with spaces. Its fields are the options without their dashes, and email, ip, token,
actor_id, actor_type, context, status, method, uri, agent and id. A word without a field is looked for in the text.
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
  $ orgtrail search --saved 'Failures of people' --since 7d --count --facet actor
  $ orgtrail search --history-of 48213`;

/** Of the options that are fields of a search. */
export const searchDescriptions: Partial<Readonly<Record<SearchField, string>>> = {
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
