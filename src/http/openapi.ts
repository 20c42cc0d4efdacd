import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import { type Copies, copiesChoices } from '../feed/feed.ts';
import { type FormatName, formatNames, formats } from '../formats/registry.ts';

/** Routes that are added after it, at `/v1/openapi.json`. */
export const describeApi = async (
  server: FastifyInstance,
  version: string,
  onRequest: onRequestAsyncHookHandler,
): Promise<void> => {
  await server.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'orgtrail',
        version,
        description: 'Every audit-log entry of every Cloudflare Organization: the feed, health and metrics.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          feedToken: {
            type: 'http',
            scheme: 'bearer',
            description:
              'A token of `orgtrail token create` with the scope of the route, or ORGTRAIL_FEED_TOKEN. Without ORGTRAIL_FEED_TOKEN, local requests on loopback need no token.',
          },
        },
      },
    },
  });
  server.get(
    '/v1/openapi.json',
    { onRequest, schema: { summary: 'This document', tags: ['meta'], response: jsonAnswer('OpenAPI 3.1.') } },
    () => server.swagger(),
  );
};

/** One JSON document, or that there is none now. */
export const jsonAnswer = (description: string) => ({
  200: { description, type: 'object', additionalProperties: true },
  503: { description: 'Not available now; the body says why.', ...problemSchema, required: ['status'] },
});

export const withToken = { security: [{ feedToken: [] as string[] }] };

/** As checked and converted by `feedQuerySchema`. */
export interface FeedQuery {
  readonly cursor?: string;
  readonly after?: number;
  readonly limit?: number;
  readonly format?: FormatName;
  readonly organization?: readonly string[];
  readonly account?: readonly string[];
  readonly copies?: Copies;
  /** Seconds. */
  readonly wait?: number;
  readonly feed_id?: string;
  readonly check?: string;
  readonly last_line?: boolean;
  readonly dropped?: number;
}

export const feedQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    cursor: {
      type: 'string',
      minLength: 1,
      maxLength: 400,
      description:
        'The Orgtrail-Next-Cursor of the previous answer: continue there. Without it and without `after`, reading starts at the beginning. It has position, feed, check and drop together, so that another or a restored database always answers 409.',
    },
    after: {
      type: 'integer',
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        'Instead of `cursor`: the last position that you have. Alone it cannot detect a restored database; send `feed_id` and `check` with it.',
    },
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Maximum number of events (default 10000). There is no upper bound: the answer is a stream.',
    },
    format: { type: 'string', enum: formatNames, description: 'Default native: docs/formats.md.' },
    organization: {
      type: 'array',
      maxItems: 100,
      items: { type: 'string', minLength: 1, maxLength: 64 },
      description: 'Only events of this organization (id). May be given more than once.',
    },
    account: {
      type: 'array',
      maxItems: 100,
      items: { type: 'string', minLength: 1, maxLength: 64 },
      description:
        'Only events of this account (id). May be given more than once. With `organization`, an event must meet both.',
    },
    copies: {
      type: 'string',
      enum: copiesChoices,
      description:
        'Sign-ins and other entries about a user stand in the log of every account that the user may use. `all` (default): every copy. `first`: only the copy with the lowest position of those that meet `organization` and `account`.',
    },
    wait: {
      type: 'integer',
      minimum: 0,
      maximum: 300,
      description:
        'If there are no events yet: answer as soon as there are, or with an empty body after this many seconds.',
    },
    feed_id: {
      type: 'string',
      maxLength: 64,
      description: 'The feed that `after` belongs to: another database answers 409.',
    },
    check: {
      type: 'string',
      maxLength: 64,
      description: 'The Orgtrail-Next-Check that came with `after`: 409 if that position is now a different event.',
    },
    dropped: {
      type: 'integer',
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The number of the last deletion by retention (from the 410): acknowledges it and continues.',
    },
    last_line: {
      type: 'boolean',
      description:
        'A last line {"next_position":…,"feed_id":…,"check":…,"next_cursor":…}, for readers that do not see headers; with evidence also "evidence":{"size":…,"root":…}.',
    },
  },
} as const;

export const problemSchema = {
  type: 'object',
  required: ['status', 'reason'],
  properties: { status: { type: 'string' }, reason: { type: 'string' } },
  additionalProperties: true,
} as const;

export const refusals = {
  401: { description: 'No valid bearer token.', ...problemSchema },
  403: { description: 'A token without this scope, or on loopback a request that is not local.', ...problemSchema },
  429: { description: 'Too many wrong tokens from this address within a minute: Retry-After.', ...problemSchema },
} as const;

const header = (type: string, description: string) => ({ type, description });

export const feedResponses = {
  200: {
    description: 'One event per line. A body that does not end properly was cut off: continue from its last line.',
    headers: {
      'Orgtrail-Feed-Id': header('string', 'The numbering that the positions belong to.'),
      'Orgtrail-Next-Cursor': header('string', 'Send it as `cursor` next. Opaque.'),
      'Orgtrail-Next-Position': header('integer', 'Request the events after this position next.'),
      'Orgtrail-Next-Check': header('string', 'Send it back as `check`, together with that position.'),
      'Orgtrail-Head-Position': header('integer', 'Position of the newest stored event.'),
      'Orgtrail-Evidence': header(
        'string',
        'Size and root of the last signed checkpoint of the evidence, if there is one. Keep it: docs/evidence.md.',
      ),
    },
    content: Object.fromEntries(
      [...new Set(Object.values(formats).map(({ contentType }) => contentType))].map((contentType) => [
        contentType,
        { schema: { type: 'string' } },
      ]),
    ),
  },
  400: { description: 'The query is not valid.', ...problemSchema },
  ...refusals,
  409: { description: 'The position does not belong to this feed as it is now.', ...problemSchema },
  410: {
    description: 'Retention has dropped unread events after the position, and they are not in an archive.',
    ...problemSchema,
  },
  500: { description: 'Internal error; the log has the details under the request id in `reason`.', ...problemSchema },
  503: {
    description:
      'The database does not answer, is busy, or is a standby that is behind; or too many readers are served (Retry-After); or the archive cannot be read, or has a fault (`archive`).',
    ...problemSchema,
  },
};
