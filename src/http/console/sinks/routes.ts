import type { FastifyInstance } from 'fastify';
import { hidden } from '../hidden.ts';
import { OPERATIONS_PATH } from '../operations/operations-menu.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { sinkBody } from './sink-page.ts';
import { sinksBody } from './sinks-page.ts';

const REFRESH_SECONDS = 10;
const LETTERS = 50;

/** `/sinks`, and the page of each. */
export const sinkPages = (pages: FastifyInstance, frame: Frame, operations: OperationsSource): void => {
  const current = OPERATIONS_PATH;
  pages.get('/sinks', { schema: hidden }, async (request, reply) => {
    const body = sinksBody(await operations.sinks(), Date.now());
    return sendPage(request, reply, frame, { title: 'Sinks', current, refreshSeconds: REFRESH_SECONDS, body });
  });
  pages.get<{ Params: { readonly name: string }; Querystring: { readonly before?: unknown } }>(
    '/sinks/:name',
    { schema: hidden },
    async (request, reply) => {
      const { name } = request.params;
      const sink = (await operations.sinks()).find((each) => each.name === name);
      if (sink === undefined) throw Object.assign(new Error('There is no such sink.'), { statusCode: 404 });
      const before = positionOf(request.query.before);
      const page = await operations.deadLetters(name, { before, limit: LETTERS });
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

/** What is no position is as if it were not there. */
const positionOf = (text: unknown): number | undefined =>
  typeof text === 'string' && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
