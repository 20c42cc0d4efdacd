import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import { z } from 'zod';
import { integer, oneOf, readInput } from '../base/operation.ts';
import { copiesChoices } from '../feed/feed.ts';
import { formatNames, formats } from '../formats/registry.ts';

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

export const jsonSchema = (schema: z.ZodType) => {
  const { $schema: _version, readOnly: _fixed, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
};

export const withToken = { security: [{ feedToken: [] as string[] }] };

/** Of a route: how its parameters are described and read. A fault is answered with 400, and names its field. */
export const asked = (parts: { readonly querystring?: z.ZodObject; readonly params?: z.ZodObject }) => ({
  schema: Object.fromEntries(Object.entries(parts).map(([part, input]) => [part, jsonSchema(input)])),
  validatorCompiler:
    ({ httpPart }: { readonly httpPart?: string }) =>
    (given: Readonly<Record<string, unknown>>) => {
      const input = httpPart === 'params' ? parts.params : parts.querystring;
      try {
        return { value: input === undefined ? given : readInput({ input }, given, (field) => field) };
      } catch (error) {
        return { error: error as Error };
      }
    },
});

const bounded = (most: number, words = `must be a text of 1 to ${most} characters`) =>
  z.string(words).min(1, words).max(most, words);
const idsWords = 'must be at most 100 ids of 1 to 64 characters';
const ids = (description: string) =>
  z.array(bounded(64, idsWords), idsWords).max(100, idsWords).optional().describe(description);

/** `wait` is in seconds. */
export const feedQuery = z.strictObject({
  cursor: bounded(400)
    .optional()
    .describe(
      'The Orgtrail-Next-Cursor of the previous answer: continue there. Without it and without `after`, reading starts at the beginning. It has position, feed, check and drop together, so that another or a restored database always answers 409.',
    ),
  after: integer(
    'Instead of `cursor`: the last position that you have. Alone it cannot detect a restored database; send `feed_id` and `check` with it.',
    0,
  ),
  limit: integer('Maximum number of events (default 10000). There is no upper bound: the answer is a stream.', 1),
  format: oneOf(formatNames, 'Default native: docs/formats.md.'),
  organization: ids('Only events of this organization (id). May be given more than once.'),
  account: ids(
    'Only events of this account (id). May be given more than once. With `organization`, an event must meet both.',
  ),
  copies: oneOf(
    copiesChoices,
    'Sign-ins and other entries about a user stand in the log of every account that the user may use. `all` (default): every copy. `first`: only the copy with the lowest position of those that meet `organization` and `account`.',
  ),
  wait: integer(
    'If there are no events yet: answer as soon as there are, or with an empty body after this many seconds.',
    0,
    300,
  ),
  feed_id: bounded(64).optional().describe('The feed that `after` belongs to: another database answers 409.'),
  check: bounded(64)
    .optional()
    .describe('The Orgtrail-Next-Check that came with `after`: 409 if that position is now a different event.'),
  dropped: integer('The number of the last deletion by retention (from the 410): acknowledges it and continues.', 0),
  last_line: z
    .boolean('must be true or false')
    .optional()
    .describe(
      'A last line {"next_position":…,"feed_id":…,"check":…,"next_cursor":…}, for readers that do not see headers; with evidence also "evidence":{"size":…,"root":…}.',
    ),
});
export type FeedQuery = z.output<typeof feedQuery>;

const problemSchema = {
  type: 'object',
  required: ['status', 'reason'],
  properties: { status: { type: 'string' }, reason: { type: 'string' } },
  additionalProperties: true,
} as const;

export const problem = (description: string) => ({ description, ...problemSchema });

export const refusals = {
  401: problem('No valid bearer token.'),
  403: problem('A token without this scope, or on loopback a request that is not local.'),
  429: problem('Too many wrong tokens from this address within a minute: Retry-After.'),
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
      Object.values(formats).map(({ contentType }) => [contentType, { schema: { type: 'string' } }]),
    ),
  },
  400: problem('The query is not valid.'),
  ...refusals,
  409: problem('The position does not belong to this feed as it is now.'),
  410: problem('Retention has dropped unread events after the position, and they are not in an archive.'),
  500: problem('Internal error; the log has the details under the request id in `reason`.'),
  503: problem(
    'The database does not answer, is busy, or is a standby that is behind; or too many readers are served (Retry-After); or the archive cannot be read, or has a fault (`archive`).',
  ),
};
