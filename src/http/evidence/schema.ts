import { problemSchema, refusals } from '../feed/schema.ts';

/** The parameters of an address below `/evidence`. */
export interface LogParameters {
  readonly feed: string;
  readonly log: 'events' | 'journal';
}

const feed = {
  type: 'string',
  pattern: '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.[1-9]\\d{0,8}$',
  description: 'The id of the feed, a dot, and the generation of the log: as in its origin.',
} as const;
const log = { type: 'string', enum: ['events', 'journal'], description: 'Which of the two logs.' } as const;

export const logParameters = { type: 'object', properties: { feed, log }, required: ['feed', 'log'] } as const;

export const tileParameters = {
  type: 'object',
  properties: {
    feed,
    log,
    '*': {
      type: 'string',
      description:
        'LEVEL/NUMBER, or NUMBER with `entries/` before it for the data of leaves, and `.p/WIDTH` behind it for a partial one: c2sp.org/tlog-tiles.',
    },
  },
  required: ['feed', 'log', '*'],
} as const;

export const proofParameters = { type: 'object', properties: { feed }, required: ['feed'] } as const;

export const proofQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    position: {
      type: 'integer',
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The position of the event in the feed.',
    },
  },
  required: ['position'],
} as const;

const binary = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } as const;
const text = { 'text/plain; charset=utf-8': { schema: { type: 'string' } } } as const;

const answers = {
  400: { description: 'The address or the query is not valid.', ...problemSchema },
  ...refusals,
  404: { description: 'There is no such log or tile, or it is not signed yet.', ...problemSchema },
  503: { description: 'The database does not answer, or the account may not read the evidence.', ...problemSchema },
} as const;

/** Of a route that gives a text, or a file of bytes. */
export const textAnswers = (description: string) => ({ 200: { description, content: text }, ...answers });

export const tileAnswers = {
  200: { description: 'Hashes of 32 bytes, or leaves after their length in two bytes.', content: binary },
  ...answers,
  410: {
    description: 'The data of a leaf of these was dropped by retention; its hash is in the tile.',
    ...problemSchema,
  },
};
