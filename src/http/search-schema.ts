import type { SearchField } from '../domain/search.ts';
import { problemSchema, refusals } from './feed-schema.ts';

/** The query of `GET /v1/search`. The fields of the search itself are read by the domain, which has better words for what is wrong. */
export type SearchQuery = Readonly<Partial<Record<SearchField, string>>> & {
  readonly format?: 'json' | 'ndjson' | 'csv';
  readonly limit?: number;
  readonly cursor?: string;
};

export const MAX_LIMIT = 500;

const text = (description: string) => ({ type: 'string', description });

export const searchQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    since: text('Inclusive: how long ago (30m, 24h, 90d), a date, or an RFC 3339 instant; without a zone it is UTC.'),
    before: text('Exclusive, in the same forms.'),
    organization: text('The id of an organization.'),
    actor: text(
      'E-mail address, IP address, id or token id, exactly; `email:`, `ip:`, `id:` and `token:` in front say which.',
    ),
    action: text('action_type, exactly.'),
    result: text('action_result, exactly.'),
    product: text('resource_product, exactly.'),
    resource_type: text('resource_type, exactly.'),
    resource: text('resource_id, exactly.'),
    ray: text('raw_cf_ray_id, exactly.'),
    text: text("Somewhere in the entry's own JSON text, whatever the case. Without an index: newest first, in steps."),
    defects: text('true: only entries that could not be read in full.'),
    changed: text('true: only entries of which later content is kept.'),
    limit: {
      ...{ type: 'integer', minimum: 1, maximum: MAX_LIMIT },
      description: 'Most events of a page (default 50). Exports have no limit.',
    },
    cursor: text('`next` or `previous` of another page. Not for exports, which have all events.'),
    format: {
      ...{ type: 'string', enum: ['json', 'ndjson', 'csv'] },
      description: 'json (default): a page. ndjson, csv: all events of the search as a download.',
    },
  } satisfies Record<Exclude<keyof SearchQuery, never>, object>,
};

const nullable = (type: string, description: string) => ({ type: [type, 'null'], description });

export const searchResponses = {
  200: {
    description:
      'A page, or all events as a download. A body that does not end properly is cut off, and not the whole answer.',
    content: {
      'application/json': {
        schema: {
          type: 'object',
          properties: {
            events: { type: 'array', items: { type: 'object', additionalProperties: true } },
            next: nullable('string', 'The cursor of older events; null where there are none.'),
            previous: nullable('string', 'The cursor of newer events; null on the first page.'),
            complete: { type: 'boolean', description: 'False where time ran out: go on with the cursor.' },
            searched_to: nullable('string', 'Where it ran out.'),
            coverage: {
              type: 'object',
              description: 'How much of the time searched has been read from Cloudflare.',
              properties: {
                organizations: { type: 'integer' },
                incomplete: { type: 'integer', description: 'Organizations with unread time in it.' },
                read_until: nullable('string', 'All are read up to here, but for those.'),
                collected_since: nullable('string', 'Nothing older is collected.'),
              },
            },
          },
        },
      },
      'application/x-ndjson': { schema: { type: 'string' } },
      'text/csv': { schema: { type: 'string' } },
    },
  },
  400: { description: 'Something in the search is not as it should be; `faults` says which field.', ...problemSchema },
  ...refusals,
  503: { description: 'The database does not answer, or the search takes too long.', ...problemSchema },
};
