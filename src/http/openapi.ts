import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import { problemSchema } from './feed/schema.ts';

/** Describes all routes that are added after it, by their schemas, and serves that at `/v1/openapi.json` to clients that `onRequest` lets in. */
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

/** The answers of a route that gives one JSON document, or says that it cannot. */
export const jsonAnswer = (description: string) => ({
  200: { description, type: 'object', additionalProperties: true },
  503: { description: 'Not available now; the body says why.', ...problemSchema, required: ['status'] },
});

/** The description of a route that requires the token. */
export const withToken = { security: [{ feedToken: [] as string[] }] };
