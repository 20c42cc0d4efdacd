import type { FastifyInstance } from 'fastify';
import { hidden } from '../hidden.ts';
import { OPERATIONS_PATH } from '../operations/operations-menu.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { holdsBody } from './holds-page.ts';

/** `/holds`: what retention keeps on purpose. */
export const holdPages = (pages: FastifyInstance, frame: Frame, operations: OperationsSource): void => {
  pages.get('/holds', { schema: hidden }, async (request, reply) => {
    const body = holdsBody(await operations.holds());
    return sendPage(request, reply, frame, { title: 'Legal holds', current: OPERATIONS_PATH, body });
  });
};
