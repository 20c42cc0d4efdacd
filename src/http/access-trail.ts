import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AccessKind, AccessNote, Identity } from '../postgres/access/access.ts';
import { searchFields } from '../search/query/search.ts';
import { addressGroup } from './guard.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Name of an answered request of this route in the trail. Refusals are noted for every route. */
    readonly trail?: AccessKind;
  }
  interface FastifyRequest {
    /** Undefined before it is known, and for public routes. */
    identity: Identity | undefined;
    /** Events that the answer has given so far; undefined: it gives none. */
    eventsGiven: number | undefined;
    /** Called when the answer begins to give events. */
    onGiving: (() => void) | undefined;
  }
}

const MAX_VALUE = 300;
/** Below this, a hash would take more than the text. */
const LEAST_HASHED = 60;
const HASH_DIGITS = 16;
const SEARCH_VALUES = 7;
/** All values, as JSON: with the blanks of PostgreSQL under 8,000 characters, beyond which the database keeps nothing. */
const MAX_VALUES = 5_500;
const refusals = [401, 403, 429];

/** Beside what an address names: the search, the form of the answer, the filter of a reader. Positions of readers change each time. */
const keptParameters = [...searchFields, 'search', 'format', 'detection', 'severity', 'who', 'kind'];

interface Watching {
  note(note: AccessNote): void;
  answered(route: string, status: string): void;
  signInFailed(): void;
}

export const watchAnswers = (server: FastifyInstance, watching: Watching): void => {
  server.decorateRequest('identity', undefined);
  server.decorateRequest('eventsGiven', undefined);
  server.decorateRequest('onGiving', undefined);
  server.addHook('onRequest', async (request, reply) => {
    request.onGiving = () => {
      const trail = trailOf(request);
      if (trail !== undefined && isLong(kindOf(request, trail))) watching.note(noteOf(request, reply, trail, 'begun'));
    };
    reply.raw.once('close', () => answered(request, reply, watching));
  });
};

const isLong = (kind: AccessKind): boolean => kind === 'export' || kind === 'feed';

/** The pieces' buffers are used again only after the next one is asked for. */
export async function* counted<T extends { readonly events?: number }>(
  request: FastifyRequest,
  pieces: AsyncIterable<T>,
): AsyncGenerator<T, void, void> {
  for await (const piece of pieces) {
    request.eventsGiven = (request.eventsGiven ?? 0) + (piece.events ?? 0);
    yield piece;
  }
}

/** To be called before the head of an answer that gives events is written. */
export const startStreaming = (request: FastifyRequest, events = 0): void => {
  request.eventsGiven = events;
  request.onGiving?.();
};

export const changeNote = (request: FastifyRequest, kind: AccessKind, what: AccessNote['what']): AccessNote => ({
  kind,
  outcome: 'ok',
  who: request.identity?.who,
  address: request.ip,
  route: `${request.method} ${request.routeOptions.url}`,
  status: 303,
  what,
  requests: 1,
});

const answered = (request: FastifyRequest, reply: FastifyReply, watching: Watching): void => {
  const { raw } = reply;
  const pattern = request.is404 ? undefined : request.routeOptions.url;
  watching.answered(pattern ?? 'unmatched', raw.headersSent ? String(raw.statusCode) : 'aborted');
  if (!raw.headersSent) return;
  const trail = trailOf(request);
  const status = raw.statusCode;
  if (refusals.includes(status)) {
    if (trail === 'sign-in') watching.signInFailed();
    watching.note(noteOf(request, reply, trail === 'sign-in' ? trail : 'refusal', 'refused'));
  } else if (trail !== undefined && isNoted(request, trail, status)) {
    const outcome = status >= 500 ? 'failed' : raw.writableFinished ? 'ok' : 'cut off';
    watching.note(noteOf(request, reply, trail, outcome));
  }
};

/** A mistake, and an answer that only leads on, give nothing. Signing in and out answer by leading on. */
const isNoted = (request: FastifyRequest, trail: AccessKind, status: number): boolean => {
  if (status >= 500) return true;
  if (trail === 'sign-in' || trail === 'sign-out') return request.identity !== undefined;
  return status < 300;
};

const noteOf = (
  request: FastifyRequest,
  { raw }: FastifyReply,
  trail: AccessKind,
  outcome: AccessNote['outcome'],
): AccessNote => ({
  kind: kindOf(request, trail),
  outcome,
  who: request.identity?.who,
  address: outcome === 'refused' && request.identity === undefined ? strangersAddress(request.ip) : request.ip,
  route: routeOf(request),
  status: outcome === 'begun' ? undefined : raw.statusCode,
  ...(trail === 'refusal' || trail === 'sign-in' || trail === 'sign-out' ? { what: {} } : parametersOf(request)),
  events: outcome === 'begun' ? undefined : request.eventsGiven,
  requests: outcome === 'begun' ? 0 : 1,
});

/** Who has one address of IPv6 has 2^64 of them. */
const strangersAddress = (address: string): string => {
  const group = addressGroup(address);
  return group.includes(':') ? `${group}::/64` : group;
};

const kindOf = (request: FastifyRequest, trail: AccessKind): AccessKind => {
  const format = asRecord(request.query)['format'];
  return trail === 'search' && (format === 'csv' || format === 'ndjson') ? 'export' : trail;
};

const trailOf = (request: FastifyRequest): AccessKind | undefined => request.routeOptions.config?.trail;

const routeOf = (request: FastifyRequest): string =>
  request.is404 ? 'unmatched' : `${request.method} ${request.routeOptions.url ?? 'unmatched'}`;

/** What names an event or another page is kept; the rest is cut as far as it must be. */
const parametersOf = (request: FastifyRequest): Pick<AccessNote, 'what' | 'whole'> => {
  const { '*': value, ...params } = asRecord(request.params);
  const given: Record<string, unknown> = { ...asRecord(request.query), ...params, value };
  const cut = (names: readonly string[], most: number): Record<string, unknown> =>
    Object.fromEntries(
      names.flatMap((name) =>
        given[name] === undefined ? [] : [[name, short(given[name], name === 'search' ? SEARCH_VALUES * most : most)]],
      ),
    );
  const named = ['position', 'value'];
  const address = cut(named, MAX_VALUE);
  const whole = cut([...keptParameters, ...named], Number.POSITIVE_INFINITY);
  const wholeText = JSON.stringify(whole);
  for (let most = MAX_VALUE; ; most = Math.floor(most / 2)) {
    const what = { ...cut(keptParameters, most), ...address };
    const text = JSON.stringify(what);
    if (most > 0 && text.length > MAX_VALUES) continue;
    // What differs only in what is cut off is told apart by its hash.
    return text === wholeText ? { what } : { what: { ...what, cut: hashOf(wholeText) }, whole };
  }
};

export const asRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const short = (value: unknown, most: number): unknown =>
  Array.isArray(value) ? value.slice(0, most).map((one) => short(one, most)) : cutText(String(value), most);

/** With a hash of the whole, so that what is cut off can be told from another text, and compared with a log of requests. */
const cutText = (text: string, most: number): string => {
  if (text.length <= most || most < LEAST_HASHED) return text.slice(0, most);
  return `${text.slice(0, most)}… (${text.length} characters, SHA-256 ${hashOf(text)})`;
};

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);
