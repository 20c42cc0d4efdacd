import type { FastifyReply, FastifyRequest } from 'fastify';

/** Whether a browser asks for a page, and no program for the API. */
export const wantsPage = ({ url, headers }: FastifyRequest): boolean =>
  !url.startsWith('/v1/') && (headers.accept ?? '').includes('text/html');

/** For programs: in the shape of all problems of the API. */
export const sendNotFound = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
  reply.code(404).send({ status: 'not found', reason: `there is no ${request.method} ${request.url.split('?')[0]}` });
