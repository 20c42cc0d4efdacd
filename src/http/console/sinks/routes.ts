import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { OrgtrailError } from '../../../base/errors.ts';
import { planReplay, readReplayer, replaySink } from '../../../sinks/replay.sql.ts';
import { readDeadLetterPage } from '../../../sinks/sink-status.sql.ts';
import { changeNote } from '../../access-trail.ts';
import { httpError } from '../../failure.ts';
import { OPERATIONS_PATH, type Operations, type ShownSink, shownSinks } from '../operations.ts';
import { type Frame, hidden, rowNumberOf, sendPage } from '../page.ts';
import { sessionProofOf } from '../sign-in.routes.ts';
import { canReplay, replayBody, sinkBody, sinkHref, sinksBody } from './page.ts';

const REFRESH_SECONDS = 10;
const LETTERS = 50;

export const sinkPages = (pages: FastifyInstance, frame: Frame, operations: Operations): void => {
  const current = OPERATIONS_PATH;
  pages.get('/sinks', { schema: hidden }, async (request, reply) => {
    const body = sinksBody(await shownSinks(operations), Date.now());
    return sendPage(request, reply, frame, { title: 'Sinks', current, refreshSeconds: REFRESH_SECONDS, body });
  });
  pages.get<{ Params: { readonly name: string }; Querystring: { readonly before?: unknown } }>(
    '/sinks/:name',
    { schema: hidden },
    async (request, reply) => {
      const { name } = request.params;
      const sink = (await shownSinks(operations)).find((each) => each.name === name);
      if (sink === undefined) throw httpError(404, 'There is no such sink.');
      const before = rowNumberOf(request.query.before);
      const page = await readDeadLetterPage(operations.pool, name, { before, limit: LETTERS });
      const body = sinkBody({ sink, page, before, nowMs: Date.now() });
      return sendPage(request, reply, frame, {
        title: `${name} (sink)`,
        current,
        refreshSeconds: REFRESH_SECONDS,
        body,
      });
    },
  );
};

interface Asked {
  readonly Params: { readonly name: string };
  readonly Querystring: { readonly after?: unknown };
}

/** The database decides who may, and keeps the row (docs/decisions/12). */
export const replayPages = (
  pages: FastifyInstance,
  frame: Frame,
  { operations, logger }: { readonly operations: Operations; readonly logger: Logger },
): void => {
  pages.get<Asked>('/sinks/:name/replay', { schema: hidden }, async (request, reply) => {
    const sink = await requireSink(operations, request.params.name);
    const plan = await planReplay(operations.pool, sink.name, {
      after: replayPositionOf(request.query.after),
      hasArchive: operations.config.archive !== undefined,
    });
    const proof = sessionProofOf(request);
    const who = proof && (await readReplayer(operations.pool, proof));
    if ('kind' in plan) reply.code(400);
    const body = replayBody({ sink, plan, who });
    return sendPage(request, reply, frame, { title: `Replay ${sink.name}`, current: OPERATIONS_PATH, body });
  });
  pages.post<Asked>('/sinks/:name/replay', { schema: hidden }, async (request, reply) => {
    const sink = await requireSink(operations, request.params.name);
    const after = replayPositionOf(request.query.after);
    const proof = sessionProofOf(request);
    if (proof === undefined) throw httpError(403, 'Only a session that has signed in with a token for it may replay.');
    if (after === undefined) throw httpError(400, 'The position must be a number.');
    const giver = { proof, address: request.ip, route: 'POST /sinks/:name/replay' };
    if (!(await replayed({ pool: operations.pool, giver }, sink, after))) {
      throw httpError(409, 'The sink has moved, or there is no such position: nothing was changed.');
    }
    const what = { sink: sink.name, after, from: sink.position };
    logger.info({ access: changeNote(request, 'replay', what) }, 'access: replay ok');
    return reply.redirect(sinkHref(sink.name), 303);
  });
};

const replayed = async (
  source: Parameters<typeof replaySink>[0],
  { name }: ShownSink,
  after: number,
): Promise<boolean> => {
  try {
    return await replaySink(source, name, after);
  } catch (error) {
    if (error instanceof OrgtrailError && error.code === 'configuration') {
      throw httpError(403, 'The token of this session may not replay sinks.');
    }
    throw error;
  }
};

const requireSink = async (operations: Operations, name: string): Promise<ShownSink> => {
  const sink = (await shownSinks(operations)).find((each) => each.name === name);
  if (sink === undefined || !canReplay(sink)) throw httpError(404, 'There is no such sink that can be replayed.');
  return sink;
};

const replayPositionOf = (text: unknown): number | undefined =>
  typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
