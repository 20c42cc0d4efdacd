import type { FastifyInstance } from 'fastify';
import { unknownParameter } from '../../../text/nearest.ts';
import { hidden } from '../hidden.ts';
import { OPERATIONS_PATH } from '../operations/operations-menu.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { checksBody } from './checks-page.ts';

const PAGE_SIZE = 25;
const parameters = ['runs_before', 'rounds_before', 'found'];

type Query = Readonly<Record<string, unknown>>;

/** Throws for what is misspelt: it would mean all of them. */
const refuseUnknown = (query: Query): void => {
  const unknown = Object.keys(query).find((name) => !parameters.includes(name));
  if (unknown === undefined) return;
  throw Object.assign(new Error(unknownParameter(unknown, parameters)), { statusCode: 400 });
};

/** What is no number of a row is as if it were not there. */
const numberIn = (query: Query, name: string): number | undefined => {
  const text = query[name];
  return typeof text === 'string' && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
};

/** `/checks`: what was read a second time, and with what result. */
export const checkPages = (pages: FastifyInstance, frame: Frame, operations: OperationsSource): void => {
  pages.get<{ Querystring: Query }>('/checks', { schema: hidden }, async (request, reply) => {
    const { query } = request;
    refuseUnknown(query);
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
