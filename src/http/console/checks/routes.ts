import type { FastifyInstance } from 'fastify';
import { hidden } from '../hidden.ts';
import { OPERATIONS_PATH } from '../operations/operations-menu.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { checksBody } from './checks-page.ts';

const PAGE_SIZE = 25;

type Query = Readonly<Record<string, unknown>>;

/** What is no number of a row is as if it were not there. */
const numberIn = (query: Query, name: string): number | undefined => {
  const text = query[name];
  return typeof text === 'string' && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
};

/** `/checks`: what was read a second time, and with what result. */
export const checkPages = (pages: FastifyInstance, frame: Frame, operations: OperationsSource): void => {
  pages.get<{ Querystring: Query }>('/checks', { schema: hidden }, async (request, reply) => {
    const { query } = request;
    const asked = { runsBefore: numberIn(query, 'runs_before'), roundsBefore: numberIn(query, 'rounds_before') };
    const found = query['found'] === 'true';
    const [runs, rounds, totals] = await Promise.all([
      operations.verifyRuns({ before: asked.runsBefore, limit: PAGE_SIZE, found }),
      operations.scrubRounds({ before: asked.roundsBefore, limit: PAGE_SIZE, found }),
      operations.scrubTotals(),
    ]);
    const body = checksBody({ runs, rounds, totals, found, ...asked });
    return sendPage(request, reply, frame, { title: 'Checks', current: OPERATIONS_PATH, body });
  });
};
