import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isLoopbackHost } from '../base/addresses.ts';
import { type Identity, readingScopes, type Scope } from '../postgres/access/access.ts';
import type { AccessSource } from '../postgres/access/open-access.sql.ts';

export const FEED_TOKEN_NAME = 'ORGTRAIL_FEED_TOKEN';

/** A function gives the latest one: it may be renewed. */
export type FeedToken = string | undefined | (() => string | undefined);

export const latestToken = (token: FeedToken): string | undefined => (typeof token === 'function' ? token() : token);

type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

interface GuardOptions {
  readonly host: string;
  readonly feedToken: FeedToken;
  readonly access: AccessSource;
}

interface Presented {
  readonly who: string;
  /** Undefined: ORGTRAIL_FEED_TOKEN. */
  readonly tokenId: number | undefined;
  readonly scopes: readonly Scope[];
}

/** Who gets in. All routes of the server ask this one object. */
export type Guard = ReturnType<typeof createGuard>;

export const createGuard = (options: GuardOptions) => {
  const { host, access } = options;
  const onLoopback = isLoopbackHost(host);
  const isSet = () => latestToken(options.feedToken) !== undefined;
  const { throttled, refuseWithout } = createRefusals(options);
  const isOpen = (request: FastifyRequest) => !isSet() && onLoopback && isLocalRequest(request);
  const present = async (token: string): Promise<Presented | undefined> => {
    const feedToken = latestToken(options.feedToken);
    if (feedToken !== undefined && sameSecret(token, feedToken)) {
      return { who: FEED_TOKEN_NAME, tokenId: undefined, scopes: readingScopes };
    }
    const named = await access.tokenOf(token);
    return named && { who: named.name, tokenId: named.id, scopes: named.scopes };
  };
  const presentedBy = async (request: FastifyRequest) => {
    const bearer = bearerOf(request);
    return bearer === undefined ? undefined : await present(bearer);
  };
  return {
    /** No token is set, the server listens on loopback, and the request is local. */
    isOpen,
    /** Undefined for a text that is no token. Rejects if the database does not answer. */
    present,
    canSignIn: async () => isSet() || (await access.hasTokens()),
    /** Lets in who has a token with one of the scopes. Answers 401, 403 and 429 itself. */
    requireScope:
      (...anyOf: Scope[]): Hook =>
      async (request, reply) => {
        const presented = await presentedBy(request);
        request.identity = presented && identityOf(presented);
        if (presented?.scopes.some((scope) => anyOf.includes(scope))) return;
        if (presented !== undefined) return await refuse(reply, 403, lacking(presented, anyOf));
        if (anyOf.every((scope) => scope === 'manage')) await refuseWithout(request, reply, tokenForOrders);
        else if (!isOpen(request)) await refuseWithout(request, reply);
      },
    /** For health and metrics: on loopback local requests only, or a token. Answers 403 and 429 itself. */
    requireLocalOrToken: async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      if (!onLoopback || isLocalRequest(request) || (await presentedBy(request)) !== undefined) return;
      if (!(await throttled(request, reply))) await refuse(reply, 403, notLocalReason);
    },
  };
};

const createRefusals = ({ host, feedToken }: GuardOptions) => {
  const throttle = new FailureThrottle(() => performance.now());
  /** True once it has answered that there were too many wrong tokens. A right one has been let in by now. */
  const throttled = async (request: FastifyRequest, reply: FastifyReply): Promise<boolean> => {
    const waitSeconds = bearerOf(request) === undefined ? undefined : throttle.failed(request.ip);
    if (waitSeconds === undefined) return false;
    await refuse(reply.header('retry-after', waitSeconds), 429, tooMany(waitSeconds));
    return true;
  };
  return {
    throttled,
    refuseWithout: async (request: FastifyRequest, reply: FastifyReply, reason?: string): Promise<void> => {
      if (await throttled(request, reply)) return;
      if (reason !== undefined) return await refuse(reply, 401, reason);
      if (latestToken(feedToken) !== undefined) return await refuse(reply, 401, tokenNeeded);
      if (!isLoopbackHost(host)) return await refuse(reply, 401, openOutside);
      await refuse(reply, bearerOf(request) === undefined ? 403 : 401, notLocalReason);
    },
  };
};

const tokenNeeded = 'a bearer token is required: ORGTRAIL_FEED_TOKEN, or one of `orgtrail token create`';
const tokenForOrders =
  'an order needs a token that was made for it, also on loopback: orgtrail token create NAME --scope manage';
const openOutside =
  'set ORGTRAIL_FEED_TOKEN, or make a token with `orgtrail token create`, to open this outside loopback';
const tooMany = (seconds: number) => `too many wrong tokens from this address: try again in ${seconds} s`;
const lacking = ({ who, scopes: has }: Presented, anyOf: readonly Scope[]) =>
  `the token ${who} has no scope ${anyOf.join(' or ')}: it has ${has.join(', ')}`;

const identityOf = ({ who }: Presented): Identity => ({ who, session: false });

export const bearerOf = ({ headers }: FastifyRequest): string | undefined =>
  /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];

const statusWords = { 401: 'unauthorized', 403: 'forbidden', 429: 'too many requests' } as const;

const refuse = async (reply: FastifyReply, code: keyof typeof statusWords, reason: string): Promise<void> => {
  if (code === 401) reply.header('www-authenticate', 'Bearer');
  await reply.code(code).send({ status: statusWords[code], reason });
};

/** Hashes first: both have one length, and the time says nothing about either. */
const sameSecret = (given: string, expected: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
};

const WINDOW_MS = 60_000;
/** The same for attempts to sign in. */
export const FAILURES_PER_MINUTE = 10;
/** Bounds the memory; the oldest are forgotten first. */
const MAX_ADDRESSES = 10_000;

/** IPv6 addresses count by their /64. `nowMs` is a clock that never goes back. */
export class FailureThrottle {
  readonly #failures = new Map<string, { readonly sinceMs: number; count: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Seconds to wait, from the eleventh within a minute on; undefined before. */
  failed(address: string): number | undefined {
    const group = addressGroup(address);
    const nowMs = this.#nowMs();
    const kept = this.#failures.get(group);
    if (kept === undefined || nowMs - kept.sinceMs >= WINDOW_MS) {
      this.#failures.delete(group);
      this.#failures.set(group, { sinceMs: nowMs, count: 1 });
      const [oldest] = this.#failures.keys();
      if (this.#failures.size > MAX_ADDRESSES && oldest !== undefined) this.#failures.delete(oldest);
      return undefined;
    }
    kept.count += 1;
    if (kept.count <= FAILURES_PER_MINUTE) return undefined;
    return Math.max(1, Math.ceil((kept.sinceMs + WINDOW_MS - nowMs) / 1_000));
  }
}

/** Who has one address of an IPv6 network has all of its /64. An IPv4 address in IPv6 is that IPv4 address. */
export const addressGroup = (address: string): string => {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [plain = ''] = address.split('%');
  if (!isIPv6(plain)) return address;
  const [head = '', tail] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(8 - first.length - last.length).fill('0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
};

/** With or without a port. */
const loopbackName = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/** Added by proxies: a program on this machine that asks for itself has no reason to send one. */
const forwardingHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
] as const;

/**
 * Whether a request to a loopback address was sent by a program on this machine for itself: it names a loopback name, and no proxy has
 * added a header. A page of another site whose name leads here (DNS rebinding) has that name; a proxy on the same host passes its own name,
 * or names the client that it forwards for. The headers count as they came, whatever proxy is trusted: a page can send them too.
 */
const isLocalRequest = ({ headers }: FastifyRequest): boolean =>
  loopbackName.test(headers.host ?? '') && forwardingHeaders.every((name) => headers[name] === undefined);

/** What stands in front may have checked another Host header. */
export const oneHost = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  const names = request.raw.rawHeaders.filter((_, index) => index % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'host').length < 2) return;
  await reply.code(400).send({ status: 'bad request', reason: 'the request has more than one Host header' });
};

const notLocalReason =
  'this server listens on loopback without a token, so it answers only to localhost, 127.… and [::1], and not through a proxy: set ORGTRAIL_FEED_TOKEN and send it as a bearer token';
