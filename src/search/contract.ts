import { z } from 'zod';
import { integer, oneOf, text } from '../base/operation.ts';
import {
  type EmptyReport,
  type FoundEvent,
  incompleteReasons,
  type SearchAnswer,
  type SearchCoverage,
  type SearchPage,
} from './answer.ts';
import { printCursor, type SearchCursor, type SearchField } from './query/search.ts';
import { type FacetField, facetFields, type SearchSummary } from './summary/summary.ts';

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 500;

/** The domain reads them: it has better words for what is wrong. */
const fields = {
  since: text('Inclusive: how long ago (30m, 24h, 90d), a date, or an RFC 3339 instant; without a zone it is UTC.'),
  before: text('Exclusive, in the same forms.'),
  organization: text('The name or the id of an organization.'),
  actor: text(
    'E-mail address, name or id of a token, id, IP address or network (198.51.100.0/24), e-mail address and name case-insensitive; with `*`: how an e-mail address or token begins. `email:`, `ip:`, `id:` and `token:` in front say which.',
  ),
  action: text('action_type, case-insensitive.'),
  result: text('action_result, case-insensitive.'),
  product: text('resource_product, case-insensitive.'),
  resource_type: text('resource_type, case-insensitive.'),
  resource: text('resource_id, exactly.'),
  ray: text('raw_cf_ray_id, exactly.'),
  text: text("Somewhere in the entry's own JSON text, whatever the case. Without an index: newest first, in steps."),
  defects: text('true: only entries that could not be read in full.'),
  changed: text('true: only entries that changed later (their later content is kept).'),
  account: text('The name or the id of an account. Only events of account audit logs have one.'),
  zone: text('The name, case-insensitive, or the id of a zone. Only events of account audit logs have one.'),
  q: text(
    'A query line. All of its terms and the other parameters must hold: `action:create,delete -actor:ci* status:4xx uri:/accounts/* "some text"`. A minus excludes, commas separate alternatives, `*` at either end stands for any text, quotes enclose values with spaces. docs/console.md lists the fields.',
  ),
  archive: text('true is refused: months that are in the archive alone are not searched; a thaw brings one back.'),
  copies: text(
    'first: of an entry about a user, which stands in the log of every account that the user may use, only the first copy that matches. Not with archive.',
  ),
} satisfies Record<SearchField, z.ZodType>;

export const searchQuery = z.strictObject({
  ...fields,
  limit: integer('Maximum events per page (default 50). Exports have no limit.', 1, MAX_LIMIT),
  cursor: text('`next` or `previous` of another page. Not for exports, which have all events.'),
  format: oneOf(
    ['json', 'ndjson', 'csv'],
    'json (default): a page. ndjson, csv: all events of the search as a download.',
  ),
});

export const arrivalsQuery = z.strictObject({
  ...fields,
  after: integer(
    '`next_position` of the last answer. Without it the answer has no events, and says where the end is.',
    0,
  ),
  limit: integer('Maximum events (default 500).', 1, MAX_LIMIT),
});

export const summaryQuery = z.strictObject({
  ...fields,
  archive: text('true is refused, as in a search.'),
  exact: z
    .boolean('must be true or false')
    .optional()
    .describe(
      'true: count for up to 10 s, and look at up to 5,000,000 events for the top values. Otherwise 1 s and the newest 20,000.',
    ),
});

export const historyQuery = z.strictObject({
  position: z
    .int('must be the position of an event')
    .min(1, 'must be the position of an event')
    .describe('Of the event whose resource it is.'),
  limit: integer('Maximum events, the newest (default 50).', 1, MAX_LIMIT),
});

const count = z.int().min(0);
const flag = (description: string) => z.boolean().describe(description);
const seconds = (description: string) => z.number().describe(description);
const textOrNull = (description: string) => z.string().nullable().describe(description);
const flagOrNull = (description: string) => z.boolean().nullable().describe(description);
const months = (description: string) => z.array(z.string()).describe(description);
const name = textOrNull('Or its id. Null: none.');
const coverage = z
  .object({
    organizations: count.describe('Of the organizations searched, of how many the log is collected.'),
    accounts: count.describe('Of the accounts searched, of how many the log is collected.'),
    incomplete: count.describe(
      'The number of these logs with uncollected time in the range, apart from the usual delay.',
    ),
    not_collected_seconds: seconds('Uncollected seconds in that time, summed over all of them, that delay included.'),
    read_once_seconds: seconds(
      'Of the collected seconds, those that were not read a second time, a day or more later.',
    ),
    read_until: textOrNull('All of them are collected up to this time, apart from that.'),
    collected_since: textOrNull('Nothing before this time is collected.'),
    filtered: flag('Only entries that meet ORGTRAIL_FILTERS are collected.'),
    archived_months: months('Months of the time searched, such as 2024-01, whose events are in the archive alone.'),
    dropped_months: months(
      'Months of the time searched whose events were dropped without an archive: of all organizations.',
    ),
    begins_earlier: flag('The time searched begins before collected_since.'),
    not_collected: z
      .array(z.object({ organization: name, account: name, since: z.string(), before: z.string() }))
      .describe('Of the uncollected time that is no usual delay, the longest.'),
  })
  .describe('How much of the time searched is collected.');
export type Coverage = z.output<typeof coverage>;

const near = z.object({
  value: z.string(),
  events: count,
  at_least: flag('There may be more events than were counted.'),
});
const filter = z.object({
  field: z.string(),
  value: z.string(),
  occurs: flagOrNull('Whether any event that is in PostgreSQL has it, of any time.'),
  occurs_in_range: flagOrNull('Whether any has it of the time and organization searched.'),
  near: z.array(near).describe('The stored values that are nearest to one that does not occur.'),
});

export const searchPage = z.object({
  events: z.array(z.looseObject({})),
  next: textOrNull('The cursor of older events; null if there are none.'),
  previous: textOrNull('The cursor of newer events; null on the first page.'),
  complete: flag(
    'True only if no event that matches can be missing from this page, up to coverage.read_until. A page without events is complete only if every value searched for occurs in a stored event.',
  ),
  incomplete_because: z.array(z.string()).describe(
    Object.entries(incompleteReasons)
      .map(([name, words]) => `${name}: ${words}`)
      .join(' '),
  ),
  searched_to: textOrNull('How far the search came before it timed out.'),
  coverage,
  empty: z
    .object({
      any_in_range: flagOrNull('Whether any event at all is stored of the time and organization searched.'),
      filters: z.array(filter),
    })
    .nullable()
    .describe('Why nothing was found; null if something was. What could not be looked up in 2 s is null.'),
  batch_deletions: count
    .nullable()
    .describe(
      'Of a search for the action delete: batches, up to 1,000, that delete and have another action; `effect:delete` finds both. Null: not asked, or not counted in time.',
    ),
});
export type PageRest = Omit<z.output<typeof searchPage>, 'events'>;

const facet = z.object({
  values: z
    .array(
      z.object({
        value: z.string().describe('As a query line takes it; in small letters unless case matters.'),
        name: textOrNull('Of an organization or account.'),
        events: count.describe('Of the events that were looked at.'),
      }),
    )
    .describe('The most frequent first: 10, with `exact` 100.'),
  distinct: count.describe('Different values.'),
  without: count.describe('Events without a value.'),
});

export const searchSummary = z.object({
  events: count.describe('Events that match.'),
  at_least: flag('The counting timed out: older events are not counted.'),
  counted_since: textOrNull('Events from here on are counted; null: all are.'),
  untimed: count.describe('Of them, without a time, or with one before 2001 or in the future: in no bucket.'),
  bucket_seconds: seconds('The length of a bucket.'),
  histogram: z.array(
    z.object({
      start: z.string().meta({ format: 'date-time' }),
      success: count,
      failure: count,
      other: count.describe('Another result, or none.'),
    }),
  ),
  facets: z
    .object({
      events: count.describe('Events that were looked at, the newest.'),
      sample: flag('There may be more events.'),
      fields: z.partialRecord(z.enum(facetFields), facet),
    })
    .nullable()
    .describe('Null: looking for them timed out.'),
  coverage,
});
export type Summary = z.output<typeof searchSummary>;

export const historyPage = z.object({
  history_of: count.describe('The position that was asked for.'),
  history_status: z
    .string()
    .describe(
      'exact: all events are about this resource. approximate: others of its product and type may be among them. unavailable: the entry does not say what it is about.',
    ),
  resource: z.object({ product: z.string().nullable(), type: z.string().nullable(), id: z.string().nullable() }),
  events: z
    .array(
      z.object({
        matched_by: z.string().describe('id, uri (the path of the request), type, or itself.'),
        event: z.looseObject({}),
      }),
    )
    .describe('Newest first, in the native format.'),
  more: flag('There are older ones.'),
  coverage,
});
export type HistoryPage = z.output<typeof historyPage>;

export const lastArrival = z.object({ next_position: count, head: count, feed_id: z.string() });

export const coverageBody = (coverage: SearchCoverage): Coverage => ({
  organizations: coverage.organizations,
  accounts: coverage.accounts,
  incomplete: coverage.incomplete,
  not_collected_seconds: coverage.notCollectedSeconds,
  read_once_seconds: coverage.readOnceSeconds,
  read_until: coverage.collectedUntil,
  collected_since: coverage.collectedSince,
  filtered: coverage.filtered,
  archived_months: [...coverage.archivedMonths],
  dropped_months: [...coverage.droppedMonths],
  begins_earlier: coverage.beginsEarlier,
  not_collected: coverage.gaps.map((gap) => ({
    organization: gap.organizationName ?? gap.organizationId,
    account: gap.accountName ?? gap.accountId,
    since: gap.since,
    before: gap.before,
  })),
});

export const pageRest = (
  { page, coverage, empty, incomplete, batchDeletions }: SearchAnswer,
  cursor: SearchCursor | undefined,
): PageRest => ({
  ...cursorsOf(page, cursor),
  complete: incomplete.length === 0,
  incomplete_because: [...incomplete],
  searched_to: page.reached === undefined ? null : page.reached.time.replace(' ', 'T').replace('+00', 'Z'),
  coverage: coverageBody(coverage),
  empty: empty === undefined ? null : emptyBody(empty),
  batch_deletions: batchDeletions ?? null,
});

/** What follows the events of a page, which are written as they are stored. */
export const pageEnd = (rest: PageRest): string => `],${JSON.stringify(rest).slice(1)}\n`;

export const emptyBody = ({ anyInRange, filters }: EmptyReport) => ({
  any_in_range: anyInRange,
  filters: filters.map(({ field, value, occurs, occursInRange, near }) => ({
    field,
    value,
    occurs,
    occurs_in_range: occursInRange,
    near: near.map((one) => ({ value: one.value, events: one.events, at_least: one.atLeast })),
  })),
});

export type PageCursors = ReturnType<typeof cursorsOf>;

/** Null if there is none. */
export const cursorsOf = (page: SearchPage, cursor: SearchCursor | undefined) => {
  const { events, more, reached } = page;
  const beside = (direction: SearchCursor['direction'], event: FoundEvent | undefined): string | null => {
    if (reached?.direction === direction) return printCursor(reached);
    if (event !== undefined) return printCursor({ direction, time: event.sortTime, position: event.position });
    return cursor === undefined ? null : printCursor(reversed(cursor));
  };
  const newer = cursor?.direction === 'newer';
  return {
    next: newer || more ? beside('older', events.at(-1)) : null,
    previous: (newer && more) || cursor?.direction === 'older' ? beside('newer', events[0]) : null,
  };
};

/** With the event itself, which is on no page that the cursor leads to. A bare time divides as it is. */
const reversed = ({ direction, time, position }: SearchCursor): SearchCursor =>
  direction === 'newer'
    ? { direction: 'older', time, position: position === 0 ? 0 : position + 1 }
    : { direction: 'newer', time, position: Math.max(0, position - 1) };

export const summaryBody = ({ count, facets }: SearchSummary, coverage: SearchCoverage): Summary => ({
  events: count.events,
  at_least: count.isAtLeast,
  counted_since: count.countedSinceMs === null ? null : new Date(count.countedSinceMs).toISOString(),
  untimed: count.untimed,
  bucket_seconds: count.bucketMs / 1_000,
  histogram: count.buckets.map(({ startMs, ...results }) => ({ start: new Date(startMs).toISOString(), ...results })),
  facets:
    facets === undefined
      ? null
      : {
          events: facets.looked,
          sample: facets.isSample,
          fields: Object.fromEntries(
            facets.facets.map(({ field, values, ...rest }) => [field, { values: [...values], ...rest }]),
          ),
        },
  coverage: coverageBody(coverage),
});

/** With these facets alone, and so many values of each. */
export const withFacets = (summary: Summary, only: readonly FacetField[], most?: number): Summary => {
  const fields = only.flatMap((field) => {
    const found = summary.facets?.fields[field];
    return found === undefined ? [] : [[field, { ...found, values: found.values.slice(0, most) }]];
  });
  return { ...summary, facets: summary.facets && { ...summary.facets, fields: Object.fromEntries(fields) } };
};
