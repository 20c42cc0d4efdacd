import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Refuses what another site lets a browser send (CSRF): everything but GET and HEAD has to come from the console itself.
 * A hook of Fastify. The cookie is SameSite=Strict besides; this holds for signing in as well, if there is none yet.
 */
export const sameOrigin = async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
  if (request.is404 || request.method === 'GET' || request.method === 'HEAD') return;
  const { origin, 'sec-fetch-site': site } = request.headers;
  const fromHere = typeof origin === 'string' ? hostOf(origin) === request.host : site === 'same-origin';
  if (fromHere && (site === undefined || site === 'same-origin')) return;
  throw Object.assign(new Error('this form was not sent from this console'), { statusCode: 403 });
};

const hostOf = (origin: string): string | undefined => (URL.canParse(origin) ? new URL(origin).host : undefined);
