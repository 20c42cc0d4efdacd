import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isLocalRequest, isLoopback, notLocalReason } from './local-requests.ts';

type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

interface TokenOptions {
  readonly feedToken: string | undefined;
  /** Where the server listens. */
  readonly host: string;
}

/**
 * The check of the bearer token, for all that gives out data: a token is needed if one is set, and always outside loopback.
 * A hook of Fastify; answers 401 itself, or 403 on loopback if the request is not local.
 */
export const requireToken = ({ feedToken, host }: TokenOptions): Hook => {
  return async (request, reply) => {
    if (feedToken === undefined && isLoopback(host)) {
      if (!isLocalRequest(request)) await refuse(reply, 403, notLocalReason);
      return;
    }
    if (hasToken(request, feedToken)) return;
    const reason =
      feedToken === undefined ? 'set ORGTRAIL_FEED_TOKEN to open this outside loopback' : 'wants the feed token';
    await refuse(reply, 401, reason);
  };
};

/**
 * Health and metrics need no token. On loopback they are for programs on this machine, and for others only with the
 * token. A hook of Fastify; answers 403 itself.
 */
export const requireLocalOrToken = ({ feedToken, host }: TokenOptions): Hook => {
  return async (request, reply) => {
    if (!isLoopback(host) || isLocalRequest(request) || hasToken(request, feedToken)) return;
    await refuse(reply, 403, notLocalReason);
  };
};

const hasToken = (request: FastifyRequest, feedToken: string | undefined): boolean => {
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  return feedToken !== undefined && sameSecret(given, feedToken);
};

const refuse = async (reply: FastifyReply, code: 401 | 403, reason: string): Promise<void> => {
  if (code === 401) reply.header('www-authenticate', 'Bearer');
  await reply.code(code).send({ status: code === 401 ? 'unauthorized' : 'forbidden', reason });
};

/** Compares a secret in constant time. Hashes first: then both have one length, and the time says nothing about either. */
export const sameSecret = (given: string, expected: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
};
