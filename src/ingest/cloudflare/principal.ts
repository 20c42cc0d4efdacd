import { ApiError } from '../../errors.ts';
import type { CloudflareClient } from './client.ts';
import type { Credential, CredentialSource } from './credential.ts';
import { getEnvelope } from './envelope.ts';
import { isUsableId } from './listing-walk.ts';

/** Whom Cloudflare counts the requests of a credential for: all tokens and the key of a user are counted together. */
export interface Principal {
  /**
   * `user:ID`; undefined: the credential is counted by itself, as the token of an account is, or its user is not known yet. A credential that
   * was renewed is taken for one of the same user until that is known.
   */
  current(): string | undefined;
  /** True once it is known that the credential is counted by itself. */
  isItself(): boolean;
  /**
   * Asks once for each credential; the first question is waited for, so that nothing else is sent before it. One without an answer is repeated
   * later, beside other requests. Rejects only with the signal's reason.
   */
  identify(client: Pick<CloudflareClient, 'get'>, signal: AbortSignal): Promise<void>;
}

/** An API that does not answer this does not answer anything else either, for as long. */
const ASK_MS = 10_000;
/** A single failure is soon made good; what goes on failing is not asked for much. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/** `nowMs` never goes back. */
export const createPrincipal = (source: CredentialSource, nowMs: () => number): Principal => {
  let name: string | undefined;
  let known: Credential | undefined;
  let tried: Credential | undefined;
  let retryAtMs = Number.NEGATIVE_INFINITY;
  let retryMs = FIRST_RETRY_MS;
  let asking: Promise<void> | undefined;

  const ask = async (client: Pick<CloudflareClient, 'get'>): Promise<void> => {
    const credential = source.current();
    const answer = await askForUser(client);
    if (tried !== credential) retryMs = FIRST_RETRY_MS;
    tried = credential;
    retryAtMs = nowMs() + retryMs;
    retryMs = Math.min(LONGEST_RETRY_MS, 2 * retryMs);
    // The answer to a request during which the credential was renewed may be about either.
    if (answer.kind === 'unknown' || source.current() !== credential) return;
    known = credential;
    name = answer.kind === 'user' ? `user:${answer.id}` : undefined;
  };

  const begin = (client: Pick<CloudflareClient, 'get'>): Promise<void> => {
    asking ??= ask(client).finally(() => {
      asking = undefined;
    });
    return asking;
  };

  return {
    current: () => name,
    isItself: () => name === undefined && known === source.current(),
    identify: async (client, signal) => {
      while (tried !== source.current()) await untilAborted(begin(client), signal);
      // Meanwhile requests count for the credential alone. All that use it share its row, so they exceed the budget only together with another
      // credential of the same user, while this one question fails and others are answered.
      if (known !== source.current() && nowMs() >= retryAtMs) void begin(client);
    },
  };
};

/** Sends nothing before it has asked whose credential it is. */
export const withPrincipal = (client: CloudflareClient, principal: Principal | undefined): CloudflareClient => {
  if (principal === undefined) return client;
  return {
    get: async (request) => {
      await principal.identify(client, request.signal);
      return await client.get(request);
    },
    close: () => client.close(),
  };
};

type Answer = { readonly kind: 'user'; readonly id: string } | { readonly kind: 'itself' | 'unknown' };

/** Cloudflare refuses this to the tokens of accounts, and to those of users that lack "User Details Read". */
const refusals: readonly string[] = ['unauthorized', 'refused', 'not_found', 'bad_request'];

/** Never rejects: whatever is wrong shows in the requests that follow. */
const askForUser = async (client: Pick<CloudflareClient, 'get'>): Promise<Answer> => {
  const signal = AbortSignal.timeout(ASK_MS);
  const request = { endpoint: 'user', path: '/user', query: new URLSearchParams(), signal, once: true } as const;
  try {
    return await getEnvelope(client, request, ({ result }): Answer => {
      const id = typeof result === 'object' && result !== null && 'id' in result ? result.id : undefined;
      if (typeof id === 'string' && isUsableId(id)) return { kind: 'user', id };
      throw new ApiError('unreadable', 'GET /user: the result has no id');
    });
  } catch (error) {
    return { kind: error instanceof ApiError && refusals.includes(error.failure) ? 'itself' : 'unknown' };
  }
};

/** Rejects with the signal's reason when it aborts; the work goes on. */
const untilAborted = async (work: Promise<void>, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};
