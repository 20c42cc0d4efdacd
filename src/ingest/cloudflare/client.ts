import { type Credential, type CredentialSource, sourceOfCredential } from './credential.ts';
import { defaultTimeouts, type Timeouts } from './wire/connection-failure.ts';
import {
  type RequestObserver,
  sleep,
  withBudget,
  withFreshCredential,
  withObserver,
  withRetry,
} from './wire/middleware.ts';
import type { ApiRequest, RequestBudget } from './wire/request.ts';
import type { ServerClock } from './wire/server-clock.ts';
import { createTransport } from './wire/transport.ts';

/** Eighty times a full page of ordinary entries; one page is held in memory a few times over. */
const DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface CloudflareClientDeps {
  /** Where the API is, path prefix included: `https://api.cloudflare.com/client/v4`. */
  readonly baseUrl: string;
  readonly credential: Credential | CredentialSource;
  readonly budget: RequestBudget;
  /** Learns Cloudflare's time from the answers. */
  readonly clock: ServerClock;
  readonly userAgent: string;
  readonly observer?: RequestObserver | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  readonly maxResponseBytes?: number | undefined;
  /** In [0, 1); spreads the retries. */
  readonly random?: (() => number) | undefined;
  /** How retries wait. Rejects with the signal's reason. Tests give one that does not. */
  readonly sleep?: ((durationMs: number, signal: AbortSignal) => Promise<void>) | undefined;
}

export interface CloudflareClient {
  /**
   * What the request decodes from the answer. Rejects with ApiError once retries cannot help; with the signal's reason when that
   * aborts; with whatever the budget rejects with.
   */
  get<T>(request: ApiRequest<T>): Promise<T>;
  /** Closes all connections, those in use too. */
  close(): Promise<void>;
}

/** Speaks to one Cloudflare with one credential. Throws OrgtrailError `configuration` if no header can carry it. */
export function createCloudflareClient(deps: CloudflareClientDeps): CloudflareClient {
  const { budget, observer = {} } = deps;
  const credential = sourceOfCredential(deps.credential);
  const transport = createTransport({
    baseUrl: deps.baseUrl,
    credential,
    userAgent: deps.userAgent,
    clock: deps.clock,
    timeouts: { ...defaultTimeouts, ...deps.timeouts },
    maxResponseBytes: deps.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES,
  });

  // Read from the inside out: an attempt is sent and its answer decoded, then counted; it waited for the budget; a newer credential is
  // looked for; it may be repeated.
  const attempt = withObserver(transport.send, observer);
  const send = withRetry(withFreshCredential(withBudget(attempt, budget), credential), {
    budget,
    observer,
    random: deps.random ?? Math.random,
    sleep: deps.sleep ?? sleep,
  });

  return {
    async get<T>(request: ApiRequest<T>) {
      const outcome = await send(request);
      if (outcome.ok) return outcome.value;
      throw outcome.error;
    },
    close: transport.close,
  };
}
