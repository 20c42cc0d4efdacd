import type { FastifyReply, FastifyRequest } from 'fastify';

/** What a program on this machine calls this server, with or without a port. */
const loopbackName = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/** What proxies add. A program on this machine that asks for itself has no reason to send one of them. */
const forwardingHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
] as const;

/**
 * Whether a request to a loopback address was sent by a program on this machine for itself: it names a loopback name, and
 * no proxy has added a header. A page of another site whose name leads here (DNS rebinding) has that name; a proxy on the
 * same host passes its own name, or names the client that it forwards for. The headers count as they came, whatever proxy is trusted:
 * a page can send them too.
 */
export const isLocalRequest = ({ headers }: FastifyRequest): boolean =>
  loopbackName.test(headers.host ?? '') && forwardingHeaders.every((name) => headers[name] === undefined);

/** Refuses a request with more than one Host header: what stands in front may have checked another one. A hook of Fastify. */
export const oneHost = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  const names = request.raw.rawHeaders.filter((_, index) => index % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'host').length < 2) return;
  await reply.code(400).send({ status: 'bad request', reason: 'the request has more than one Host header' });
};

/** Why a request that is not local is refused, and what opens it. */
export const notLocalReason =
  'this server listens on loopback without a token, so it answers only to localhost, 127.… and [::1], and not through a proxy: set ORGTRAIL_FEED_TOKEN and send it as a bearer token';
