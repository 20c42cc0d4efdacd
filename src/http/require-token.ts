import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** The token, or what gives the latest one: it may be renewed. */
export type FeedToken = string | undefined | (() => string | undefined);

export const tokenOf = (token: FeedToken): string | undefined => (typeof token === 'function' ? token() : token);

/** Whether a name or address of a host means this machine only. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/**
 * The check of the bearer token, for all but health and metrics: needed where a token is set, and always outside loopback.
 * A hook of Fastify; answers 401 itself.
 */
export const requireToken = ({
  feedToken: latestToken,
  host,
}: {
  readonly feedToken: FeedToken;
  readonly host: string;
}) => {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const feedToken = tokenOf(latestToken);
    if (feedToken === undefined && isLoopback(host)) return;
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (feedToken !== undefined && sameSecret(given, feedToken)) return;
    const reason =
      feedToken === undefined ? 'set ORGTRAIL_FEED_TOKEN to open this outside loopback' : 'wants the feed token';
    await reply.code(401).header('www-authenticate', 'Bearer').send({ status: 'unauthorized', reason });
  };
};

/** Compares a secret in constant time. Hashes first: then both have one length, and the time says nothing about either. */
export const sameSecret = (given: string, expected: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
};
