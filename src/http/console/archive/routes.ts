import type { FastifyInstance } from 'fastify';
import { hidden } from '../hidden.ts';
import { OPERATIONS_PATH } from '../operations/operations-menu.ts';
import type { OperationsSource } from '../operations/operations-source.ts';
import { type Frame, sendPage } from '../page.ts';
import { archiveBody } from './archive-page.ts';

/** `/archive`: the months on object storage, and what retention takes next. */
export const archivePages = (pages: FastifyInstance, frame: Frame, operations: OperationsSource): void => {
  pages.get('/archive', { schema: hidden }, async (request, reply) => {
    const body = archiveBody(await operations.archive());
    return sendPage(request, reply, frame, { title: 'Archive', current: OPERATIONS_PATH, body });
  });
};
