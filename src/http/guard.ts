import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Scope, scopes } from '../access/access.ts';
import type { AccessSource, Identity } from '../access/ports.ts';
import { isLoopbackHost } from '../postgres/loopback.ts';
import { FailureThrottle } from './failure-throttle.ts';
import { isLocalRequest, notLocalReason } from './local-requests.ts';

/** How the trail calls the holder of the token of the environment. */
export const FEED_TOKEN_NAME = 'ORGTRAIL_FEED_TOKEN';

/** The token of the environment, or what gives the latest one: it may be renewed. */
export type FeedToken = string | undefined | (() => string | undefined);

export const latestToken = (token: FeedToken): string | undefined => (typeof token === 'function' ? token() : token);

type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

export interface GuardOptions {
  /** Where the server listens. */
  readonly host: string;
  /** The token of the environment; it has every scope. */
  readonly feedToken: FeedToken;
  readonly access: AccessSource;
}

/** A token that was presented and is right. */
interface Presented {
  readonly who: string;
  /** Of the database; undefined: the one of the environment. */
  readonly tokenId: number | undefined;
  readonly scopes: readonly Scope[];
}

/** Who gets in. All routes of the server ask this one object. */
export interface Guard {
  /** A hook for what gives out data: lets in who has a token with one of the scopes. Answers 401, 403 and 429 itself. */
  requireScope(...anyOf: Scope[]): Hook;
  /** A hook for health and metrics, which need no token: on loopback local requests only, or a token. Answers 403 and 429 itself. */
  readonly requireLocalOrToken: Hook;
  /** Whether the request needs no token at all: no token is set, the server listens on loopback, and the request is local. */
  isOpen(request: FastifyRequest): boolean;
  /** Whether there is a token that one could sign in with. */
  canSignIn(): Promise<boolean>;
  /** Undefined for a text that is no token. Rejects if the database does not answer. */
  present(token: string): Promise<Presented | undefined>;
}

export const createGuard = (options: GuardOptions): Guard => {
  const { host, access } = options;
  const onLoopback = isLoopbackHost(host);
  const isSet = () => latestToken(options.feedToken) !== undefined;
  const { throttled, refuseWithout } = createRefusals(options);
  const isOpen = (request: FastifyRequest) => !isSet() && onLoopback && isLocalRequest(request);
  const present: Guard['present'] = async (token) => {
    const feedToken = latestToken(options.feedToken);
    if (feedToken !== undefined && sameSecret(token, feedToken)) {
      return { who: FEED_TOKEN_NAME, tokenId: undefined, scopes };
    }
    const named = await access.tokenOf(token);
    return named && { who: named.name, tokenId: named.id, scopes: named.scopes };
  };
  const presentedBy = async (request: FastifyRequest) => {
    const bearer = bearerOf(request);
    return bearer === undefined ? undefined : await present(bearer);
  };
  return {
    isOpen,
    present,
    canSignIn: async () => isSet() || (await access.hasTokens()),
    requireScope:
      (...anyOf) =>
      async (request, reply) => {
        const presented = await presentedBy(request);
        request.identity = presented && identityOf(presented);
        if (presented?.scopes.some((scope) => anyOf.includes(scope))) return;
        if (presented !== undefined) return await refuse(reply, 403, lacking(presented, anyOf));
        if (!isOpen(request)) await refuseWithout(request, reply);
      },
    requireLocalOrToken: async (request, reply) => {
      if (!onLoopback || isLocalRequest(request) || (await presentedBy(request)) !== undefined) return;
      if (!(await throttled(request, reply))) await refuse(reply, 403, notLocalReason);
    },
  };
};

/** The answer to a request without a valid token. */
const createRefusals = ({ host, feedToken }: GuardOptions) => {
  const throttle = new FailureThrottle(() => performance.now());
  /** Counts a wrong token; true once it has answered that there were too many. A right one has been let in by now. */
  const throttled = async (request: FastifyRequest, reply: FastifyReply): Promise<boolean> => {
    const waitSeconds = bearerOf(request) === undefined ? undefined : throttle.failed(request.ip);
    if (waitSeconds === undefined) return false;
    await refuse(reply.header('retry-after', waitSeconds), 429, tooMany(waitSeconds));
    return true;
  };
  return {
    throttled,
    refuseWithout: async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      if (await throttled(request, reply)) return;
      if (latestToken(feedToken) !== undefined) return await refuse(reply, 401, tokenNeeded);
      if (!isLoopbackHost(host)) return await refuse(reply, 401, openOutside);
      await refuse(reply, bearerOf(request) === undefined ? 403 : 401, notLocalReason);
    },
  };
};

const tokenNeeded = 'a bearer token is required: ORGTRAIL_FEED_TOKEN, or one of `orgtrail token create`';
const openOutside =
  'set ORGTRAIL_FEED_TOKEN, or make a token with `orgtrail token create`, to open this outside loopback';
const tooMany = (seconds: number) => `too many wrong tokens from this address: try again in ${seconds} s`;
const lacking = ({ who, scopes: has }: Presented, anyOf: readonly Scope[]) =>
  `the token ${who} has no scope ${anyOf.join(' or ')}: it has ${has.join(', ')}`;

const identityOf = ({ who }: Presented): Identity => ({ who, session: false });

const bearerOf = ({ headers }: FastifyRequest): string | undefined =>
  /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];

const statusWords = { 401: 'unauthorized', 403: 'forbidden', 429: 'too many requests' } as const;

const refuse = async (reply: FastifyReply, code: keyof typeof statusWords, reason: string): Promise<void> => {
  if (code === 401) reply.header('www-authenticate', 'Bearer');
  await reply.code(code).send({ status: statusWords[code], reason });
};

/** Compares a secret in constant time. Hashes first: then both have one length, and the time says nothing about either. */
const sameSecret = (given: string, expected: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
};
