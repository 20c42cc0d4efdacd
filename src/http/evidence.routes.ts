import type { FastifyInstance, FastifyReply, onRequestAsyncHookHandler } from 'fastify';
import { z } from 'zod';
import { integer, text } from '../base/operation.ts';
import { EvidenceFault } from '../evidence/bytes.ts';
import { writePolicy } from '../evidence/notes/policy.ts';
import { parseVerifierKey } from '../evidence/notes/signed-note.ts';
import {
  type LogAddress,
  type ServedFile,
  type ServedStore,
  servedProof,
  servedTile,
  type TileAddress,
} from '../evidence/served-store.sql.ts';
import { parseTilePath } from '../evidence/tree/tiles.ts';
import { explainForbidden } from '../postgres/sql-state.ts';
import { asked, problem, refusals, withToken } from './openapi.ts';

const TEXT = 'text/plain; charset=utf-8';
/** A tile never changes, and is only for who has the token. */
const IMMUTABLE = 'private, max-age=31536000, immutable';
const tags = ['evidence'];

/** Paths of c2sp.org/tlog-tiles: nothing but what is signed. `store` is undefined without evidence. */
export const evidenceRoutes = (
  server: FastifyInstance,
  store: ServedStore | undefined,
  onRequest: onRequestAsyncHookHandler,
): void => {
  const about = (summary: string, response: object, parts: Parameters<typeof asked>[0] = {}) => {
    const { schema, validatorCompiler } = asked(parts);
    return { onRequest, schema: { ...withToken, tags, summary, ...schema, response }, validatorCompiler };
  };
  server.get(
    '/evidence/policy',
    about(
      'The keys of the logs',
      textAnswers('c2sp.org/tlog-policy. Compare the keys with those that were given to you on another way.'),
    ),
    (_request, reply) =>
      answer(reply, store, async (from) => {
        const vkeys = await from.vkeys();
        return vkeys.length === 0 ? undefined : writePolicy(vkeys.map(parseVerifierKey), [], 0);
      }),
  );
  server.get<{ Params: LogParameters }>(
    '/evidence/:feed/:log/checkpoint',
    about('The last signed checkpoint of a log', textAnswers('A signed note: c2sp.org/tlog-checkpoint.'), {
      params: z.strictObject({ feed, log }),
    }),
    ({ params }, reply) => answer(reply, store, async (from) => (await from.signed(addressOf(params)))?.note),
  );
  server.get<{ Params: LogParameters & { readonly '*': string } }>(
    '/evidence/:feed/:log/tile/*',
    about('A hash tile of a log, or the data of its leaves', tileAnswers, { params: tileParameters }),
    async ({ params }, reply) => {
      const tile = tileOf(params['*']);
      if (tile === undefined) return notFound(reply, 'not the path of a tile');
      // The data of leaves may be dropped.
      const headers = tile.level === 'entries' ? {} : { 'cache-control': IMMUTABLE };
      return await answer(reply, store, (from) => servedTile(from, addressOf(params), tile), headers);
    },
  );
  server.get<{ Params: Pick<LogParameters, 'feed'>; Querystring: { readonly position: number } }>(
    '/evidence/:feed/events/proof',
    about(
      'The proof that an event is in the log',
      textAnswers('c2sp.org/tlog-proof, with the last signed checkpoint.'),
      { params: z.strictObject({ feed }), querystring: z.strictObject({ position }) },
    ),
    ({ params, query: { position } }, reply) =>
      answer(reply, store, (from) => servedProof(from, addressOf({ ...params, log: 'events' }), position), {
        'content-disposition': `attachment; filename="${position}.tlog-proof"`,
      }),
  );
};

const answer = async (
  reply: FastifyReply,
  store: ServedStore | undefined,
  read: (store: ServedStore) => Promise<string | ServedFile | undefined>,
  headers: Readonly<Record<string, string>> = {},
): Promise<FastifyReply> => {
  if (store === undefined) return notFound(reply, 'no evidence is configured: ORGTRAIL_EVIDENCE_ORIGIN');
  try {
    const found = await read(store);
    const file = typeof found === 'string' ? ({ kind: 'found', body: found } as const) : (found ?? { kind: 'missing' });
    if (file.kind === 'missing') return notFound(reply, 'there is no such log or tile, or it is not signed yet');
    if (file.kind === 'gone') {
      return await reply.code(410).send({ status: 'gone', reason: 'the data of a leaf of these was dropped' });
    }
    const type = typeof file.body === 'string' ? TEXT : 'application/octet-stream';
    return await reply
      .headers({ 'cache-control': 'no-store', ...headers })
      .type(type)
      .send(file.body);
  } catch (error) {
    if (explainForbidden(error) === undefined) throw error;
    const reason = 'the database account may not read the evidence: it needs the role orgtrail_evidence';
    return await reply.code(503).send({ status: 'unavailable', reason });
  }
};

const notFound = (reply: FastifyReply, reason: string): FastifyReply =>
  reply.code(404).send({ status: 'not found', reason });

const tileOf = (path: string): TileAddress | undefined => {
  try {
    return parseTilePath(`tile/${path}`);
  } catch (error) {
    if (error instanceof EvidenceFault) return undefined;
    throw error;
  }
};

const addressOf = ({ feed, log }: LogParameters): LogAddress => {
  const [feedId = '', generation] = feed.split('.');
  return { feedId, generation: Number(generation), log };
};

interface LogParameters {
  readonly feed: string;
  readonly log: 'events' | 'journal';
}

const feed = z
  .string()
  .regex(
    /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9]\d{0,8}$/,
    'must be the id of a feed, a dot and a number, as in the origin of the log',
  )
  .describe('The id of the feed, a dot, and the generation of the log: as in its origin.');
const log = z.enum(['events', 'journal'], 'must be one of events, journal').describe('Which of the two logs.');

const tileParameters = z.strictObject({
  feed,
  log,
  '*': text(
    'LEVEL/NUMBER, or NUMBER with `entries/` before it for the data of leaves, and `.p/WIDTH` behind it for a partial one: c2sp.org/tlog-tiles.',
  ).nonoptional(),
});

const position = integer('The position of the event in the feed.', 1).nonoptional();

const binary = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } as const;
const plainText = { 'text/plain; charset=utf-8': { schema: { type: 'string' } } } as const;

const answers = {
  400: problem('The address or the query is not valid.'),
  ...refusals,
  404: problem('There is no such log or tile, or it is not signed yet.'),
  503: problem('The database does not answer, or the account may not read the evidence.'),
} as const;

const textAnswers = (description: string) => ({ 200: { description, content: plainText }, ...answers });

const tileAnswers = {
  200: { description: 'Hashes of 32 bytes, or leaves after their length in two bytes.', content: binary },
  ...answers,
  410: problem('The data of a leaf of these was dropped by retention; its hash is in the tile.'),
};
