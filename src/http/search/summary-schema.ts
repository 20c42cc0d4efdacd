import { facetFields } from '../../search/summary/summary.ts';
import { type SearchQuery, searchQuerySchema, searchResponses } from './schema.ts';

/** The query of `GET /v1/search/summary`: the search alone. */
export type SummaryQuery = Omit<SearchQuery, 'limit' | 'cursor' | 'format'> & { readonly exact?: boolean };

const { limit: _limit, cursor: _cursor, format: _format, ...fields } = searchQuerySchema.properties;

export const summaryQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...fields,
    archive: { type: 'string', description: 'true is refused: counts and top values are of the database alone.' },
    exact: {
      type: 'boolean',
      description:
        'true: count for up to 10 s, and look at up to 5,000,000 events for the top values. Otherwise 1 s and the newest 20,000.',
    },
  },
};

const integer = (description: string) => ({ type: 'integer', description });
const nullableText = (description: string) => ({ type: ['string', 'null'], description });

const facetSchema = {
  type: 'object',
  properties: {
    values: {
      type: 'array',
      description: 'The most frequent first: 10, with `exact` 100.',
      items: {
        type: 'object',
        properties: {
          value: { type: 'string', description: 'As a query line takes it; in small letters unless case matters.' },
          name: nullableText('Of an organization or account.'),
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
            at_least: { type: 'boolean', description: 'The counting timed out: older events are not counted.' },
            counted_since: nullableText('Events from here on are counted; null: all are.'),
            untimed: integer('Of them, without a time, or with one before 2001 or in the future: in no bucket.'),
            bucket_seconds: { type: 'number', description: 'The length of a bucket.' },
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
                sample: { type: 'boolean', description: 'There may be more events.' },
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
