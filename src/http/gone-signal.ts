import type { FastifyReply } from 'fastify';

/** Aborts when the connection of the answer closes, and with it the reason for what is under way. Also after an answer that was sent in full. */
export const goneSignal = (reply: FastifyReply): AbortSignal => {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
};
