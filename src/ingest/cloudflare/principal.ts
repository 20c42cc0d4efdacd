import { ApiError } from '../../base/errors.ts';
import { type CloudflareClient, getEnvelope, isUsableId } from './client.ts';
import { type Credential, type CredentialSource, isBroken } from './credentials.ts';

/** Whom Cloudflare counts the requests of a credential for: all tokens and the key of a user are counted together. */
export interface Principal {
  /**
   * `user:ID`; undefined: counted by itself, or not known. A renewed credential counts as the same user's until known.
   */
  current(): string | undefined;
  /** Known to be no user's, and so counted by itself. */
  isItself(): boolean;
  /** It was asked, and no answer names a user or rules all of them out: it may be any user's. */
  isUnsure(): boolean;
  /**
   * The first question of each credential is waited for, so that nothing else is sent before it. One without an answer
   * is repeated later, beside other requests, and one that was refused after an hour: permissions may be granted.
   * Rejects only with the signal's reason.
   */
  identify(client: Pick<CloudflareClient, 'get'>, signal: AbortSignal): Promise<void>;
}

const ASK_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
const REFUSED_RETRY_MS = 3_600_000;

/** `nowMs` never goes back. `onUnsure` is called once for a credential that stays unsure after several failures. */
export const createPrincipal = (
  source: CredentialSource,
  nowMs: () => number,
  onUnsure: () => void = () => {},
): Principal => {
  let name: string | undefined;
  let countedByItself: Credential | undefined;
  let told: Credential | undefined;
  let tried: Credential | undefined;
  let againAtMs = Number.POSITIVE_INFINITY;
  let retryMs = FIRST_RETRY_MS;
  let asking: Promise<void> | undefined;

  const isItself = (): boolean => countedByItself === source.current() || isTokenOfAccount(source.current());
  const isUnsure = (): boolean => name === undefined && tried === source.current() && !isItself();

  const ask = async (client: Pick<CloudflareClient, 'get'>): Promise<void> => {
    const credential = source.current();
    const answer = await askForUser(client, credential);
    take(credential, answer);
    if (!isUnsure() || told === credential || (answer.kind === 'failed' && retryMs < LONGEST_RETRY_MS)) return;
    told = credential;
    onUnsure();
  };

  const take = (credential: Credential, answer: Answer): void => {
    if (tried !== credential) retryMs = FIRST_RETRY_MS;
    tried = credential;
    againAtMs = nowMs() + (answer.kind === 'failed' ? retryMs : REFUSED_RETRY_MS);
    if (answer.kind === 'failed') retryMs = Math.min(LONGEST_RETRY_MS, 2 * retryMs);
    // The answer to a request during which the credential was renewed may be about either.
    if (answer.kind === 'failed' || answer.kind === 'refused' || source.current() !== credential) return;
    countedByItself = answer.kind === 'itself' ? credential : undefined;
    if (answer.kind === 'itself') name = undefined;
    if (answer.kind !== 'user') return;
    name = `user:${answer.id}`;
    againAtMs = Number.POSITIVE_INFINITY;
  };

  const begin = (client: Pick<CloudflareClient, 'get'>): Promise<void> => {
    asking ??= ask(client).finally(() => {
      asking = undefined;
    });
    return asking;
  };

  return {
    current: () => (isTokenOfAccount(source.current()) ? undefined : name),
    isItself,
    isUnsure,
    identify: async (client, signal) => {
      if (isTokenOfAccount(source.current())) return;
      while (tried !== source.current()) await untilAborted(begin(client), signal);
      if (nowMs() >= againAtMs) void begin(client);
    },
  };
};

/** Cloudflare's prefix. Older tokens have none. */
const isTokenOfAccount = (credential: Credential): boolean =>
  credential.kind === 'token' && credential.token.startsWith('cfat_');

/** Whether both draw on one budget; one that is unsure may be of any user. */
export const sharesBudgetOf = (one: Principal, other: Principal): boolean => {
  if (one === other) return true;
  if (one.isUnsure()) return other.isUnsure() || other.current() !== undefined;
  return one.current() !== undefined && one.current() === other.current();
};

/**
 * - itself: no user's
 * - unnamed: a user's who is not named
 * - refused: neither is said
 */
type Answer =
  | { readonly kind: 'user'; readonly id: string }
  | { readonly kind: 'itself' | 'unnamed' | 'refused' | 'failed' };

/** Cloudflare refuses `GET /user` to the tokens of accounts, and to those of users that lack "User Details Read". */
const refusals: readonly string[] = ['unauthorized', 'refused', 'not_found', 'bad_request'];

/** Never rejects: whatever is wrong shows in the requests that follow. */
const askForUser = async (client: Pick<CloudflareClient, 'get'>, { kind }: Credential): Promise<Answer> => {
  const answer = await askFor(client, '/user', (result): Answer => {
    const id = typeof result === 'object' && result !== null && 'id' in result ? result.id : undefined;
    if (typeof id === 'string' && isUsableId(id)) return { kind: 'user', id };
    throw new ApiError('unreadable', 'GET /user: the result has no id');
  });
  if (!(answer instanceof ApiError)) return answer;
  if (!refusals.includes(answer.failure)) return { kind: 'failed' };
  // A key is always a user's.
  return kind === 'key' ? { kind: 'unnamed' } : await askForToken(client);
};

/** Any token of a user is verified. An account's token is none here (401), and any other refusal says nothing of it. */
const askForToken = async (client: Pick<CloudflareClient, 'get'>): Promise<Answer> => {
  const answer = await askFor(client, '/user/tokens/verify', (): Answer => ({ kind: 'unnamed' }));
  if (!(answer instanceof ApiError)) return answer;
  if (isBroken(answer)) return { kind: 'itself' };
  return { kind: refusals.includes(answer.failure) ? 'refused' : 'failed' };
};

const askFor = async (
  client: Pick<CloudflareClient, 'get'>,
  path: '/user' | '/user/tokens/verify',
  read: (result: unknown) => Answer,
): Promise<Answer | ApiError> => {
  const signal = AbortSignal.timeout(ASK_MS);
  const request = { endpoint: 'user', path, query: new URLSearchParams(), signal, once: true } as const;
  try {
    return await getEnvelope(client, request, ({ result }) => read(result));
  } catch (error) {
    return error instanceof ApiError ? error : { kind: 'failed' };
  }
};

/** Rejects with the signal's reason; the work goes on. */
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
