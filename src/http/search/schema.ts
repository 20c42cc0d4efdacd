import { incompleteReasons } from '../../search/answer.ts';
import { type SearchField, searchFields } from '../../search/query/search.ts';
import { facetFields } from '../../search/summary/summary.ts';
import { integer as bounded, problem, refusals, text } from '../openapi.ts';

/** Fields of the search itself are read by the domain, which has better words for what is wrong. */
export type SearchQuery = Readonly<Partial<Record<SearchField, string>>> & {
  readonly format?: 'json' | 'ndjson' | 'csv';
  readonly limit?: number;
  readonly cursor?: string;
};

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 500;

export const searchQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    since: text('Inclusive: how long ago (30m, 24h, 90d), a date, or an RFC 3339 instant; without a zone it is UTC.'),
    before: text('Exclusive, in the same forms.'),
    organization: text('The name or the id of an organization.'),
    actor: text(
      'E-mail address, name or id of a token, id, IP address or network (198.51.100.0/24), e-mail address and name case-insensitive; with `*` at the end: all values that begin with it. `email:`, `ip:`, `id:` and `token:` in front say which.',
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
      'A query line. All of its terms and the other parameters must hold: `action:create,delete -actor:ci* status:4xx uri:/accounts/* "some text"`. A minus excludes, commas separate alternatives, `*` at the end stands for any rest, quotes enclose values with spaces. docs/console.md lists the fields.',
    ),
    archive: text('true: months that are in the archive alone are searched as well, which takes longer.'),
    copies: text(
      'first: of an entry about a user, which stands in the log of every account that the user may use, only the first copy that matches. Not with archive.',
    ),
    limit: bounded('Maximum events per page (default 50). Exports have no limit.', 1, MAX_LIMIT),
    cursor: text('`next` or `previous` of another page. Not for exports, which have all events.'),
    format: {
      type: 'string',
      enum: ['json', 'ndjson', 'csv'],
      description: 'json (default): a page. ndjson, csv: all events of the search as a download.',
    },
  } satisfies Record<Exclude<keyof SearchQuery, never>, object>,
};

const nullable = (type: string, description: string) => ({ type: [type, 'null'], description });
const integer = (description: string) => ({ type: 'integer', description });
const flag = (description: string) => ({ type: 'boolean', description });
const number = (description: string) => ({ type: 'number', description });

const coverageSchema = {
  type: 'object',
  description: 'How much of the time searched is collected.',
  properties: {
    organizations: integer('Of the organizations searched, of how many the log is collected.'),
    accounts: integer('Of the accounts searched, of how many the log is collected.'),
    incomplete: integer('The number of these logs with uncollected time in the range, apart from the usual delay.'),
    not_collected_seconds: number('Uncollected seconds in that time, summed over all of them, that delay included.'),
    read_once_seconds: number('Of the collected seconds, those that were not read a second time, a day or more later.'),
    read_until: nullable('string', 'All of them are collected up to this time, apart from that.'),
    collected_since: nullable('string', 'Nothing before this time is collected.'),
    filtered: flag('Only entries that meet ORGTRAIL_FILTERS are collected.'),
    archived_months: {
      type: 'array',
      items: { type: 'string' },
      description: 'Months of the time searched, such as 2024-01, whose events are in the archive alone.',
    },
    dropped_months: {
      type: 'array',
      items: { type: 'string' },
      description: 'Months of the time searched whose events were dropped without an archive: of all organizations.',
    },
  },
};

const emptySchema = {
  type: ['object', 'null'],
  description: 'Why nothing was found; null if something was. What could not be looked up in 2 s is null.',
  properties: {
    any_in_range: nullable('boolean', 'Whether any event at all is stored of the time and organization searched.'),
    filters: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          field: { type: 'string', enum: searchFields },
          value: { type: 'string' },
          occurs: nullable('boolean', 'Whether any event that is in PostgreSQL has it, of any time.'),
          occurs_in_range: nullable('boolean', 'Whether any has it of the time and organization searched.'),
          near: {
            type: 'array',
            description: 'The stored values that are nearest to one that does not occur.',
            items: {
              type: 'object',
              properties: {
                value: { type: 'string' },
                events: { type: 'integer' },
                at_least: flag('There may be more events than were counted.'),
              },
            },
          },
        },
      },
    },
  },
};

export const searchResponses = {
  200: {
    description:
      'A page, or all events as a download. A body that does not end properly was cut off and is incomplete.',
    content: {
      'application/json': {
        schema: {
          type: 'object',
          properties: {
            events: { type: 'array', items: { type: 'object', additionalProperties: true } },
            next: nullable('string', 'The cursor of older events; null if there are none.'),
            previous: nullable('string', 'The cursor of newer events; null on the first page.'),
            complete: flag(
              'True only if no event that matches can be missing from this page, up to coverage.read_until. A page without events is complete only if every value searched for occurs in a stored event.',
            ),
            incomplete_because: {
              type: 'array',
              items: { type: 'string', enum: Object.keys(incompleteReasons) },
              description: Object.entries(incompleteReasons)
                .map(([name, words]) => `${name}: ${words}`)
                .join(' '),
            },
            searched_to: nullable('string', 'How far the search came before it timed out.'),
            archived_months_read: {
              type: ['array', 'null'],
              items: { type: 'string' },
              description: 'With archive=true, the months that were read from the archive for this page.',
            },
            coverage: coverageSchema,
            empty: emptySchema,
            batch_deletions: nullable(
              'integer',
              'Of a search for the action delete: batches, up to 1,000, that delete and have another action; `effect:delete` finds both. Null: not asked, or not counted in time.',
            ),
          },
        },
      },
      'application/x-ndjson': { schema: { type: 'string' } },
      'text/csv': { schema: { type: 'string' } },
    },
  },
  400: problem('The search is not valid; `faults` names the fields.'),
  ...refusals,
  500: problem('Internal error; the log has the details under the request id in `reason`.'),
  503: problem('The database does not answer, the search takes too long, or too much is running (Retry-After).'),
};

export type SummaryQuery = Omit<SearchQuery, 'limit' | 'cursor' | 'format'> & { readonly exact?: boolean };

const { limit: _limit, cursor: _cursor, format: _format, ...fields } = searchQuerySchema.properties;

export const summaryQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...fields,
    archive: text('true is refused: counts and top values are of the database alone.'),
    exact: flag(
      'true: count for up to 10 s, and look at up to 5,000,000 events for the top values. Otherwise 1 s and the newest 20,000.',
    ),
  },
};

const facetSchema = {
  type: 'object',
  properties: {
    values: {
      type: 'array',
      description: 'The most frequent first: 10, with `exact` 100.',
      items: {
        type: 'object',
        properties: {
          value: text('As a query line takes it; in small letters unless case matters.'),
          name: nullable('string', 'Of an organization or account.'),
          events: integer('Of the events that were looked at.'),
        },
      },
    },
    distinct: integer('Different values.'),
    without: integer('Events without a value.'),
  },
};

export const summaryResponses = {
  ...searchResponses,
  200: {
    description: 'The summary.',
    content: {
      'application/json': {
        schema: {
          type: 'object',
          properties: {
            events: integer('Events that match.'),
            at_least: flag('The counting timed out: older events are not counted.'),
            counted_since: nullable('string', 'Events from here on are counted; null: all are.'),
            untimed: integer('Of them, without a time, or with one before 2001 or in the future: in no bucket.'),
            bucket_seconds: number('The length of a bucket.'),
            histogram: {
              type: 'array',
              items: {
                type: 'object',
                properties: {
                  start: { type: 'string', format: 'date-time' },
                  success: { type: 'integer' },
                  failure: { type: 'integer' },
                  other: integer('Another result, or none.'),
                },
              },
            },
            facets: {
              type: ['object', 'null'],
              description: 'Null: looking for them timed out.',
              properties: {
                events: integer('Events that were looked at, the newest.'),
                sample: flag('There may be more events.'),
                fields: {
                  type: 'object',
                  properties: Object.fromEntries(facetFields.map((field) => [field, facetSchema])),
                },
              },
            },
            coverage: searchResponses[200].content['application/json'].schema.properties.coverage,
          },
        },
      },
    },
  },
};
