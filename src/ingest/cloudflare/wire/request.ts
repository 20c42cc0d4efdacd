import type { ApiError } from '../../../errors.ts';
import type { RateLimit } from './rate-limit-headers.ts';

/** Which of Cloudflare's operations is called: a bounded label for metrics, where the path is not. */
export type ApiEndpoint = 'organizations' | 'organization' | 'organization_profile' | 'organization_audit_logs';

/** One GET. The path follows the base URL, starts with `/`, and has its variable parts encoded already. */
export interface ApiRequest {
  readonly endpoint: ApiEndpoint;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Ends every wait, connection and body of the call; its own reason is thrown. */
  readonly signal: AbortSignal;
  /** How long one attempt may take as a whole, the wait for the budget not included; undefined: as long as the client allows. */
  readonly attemptMs?: number | undefined;
  /**
   * Called with the body of every 2xx answer. Throws ApiError `unreadable` for a body that cannot be right (a page of
   * HTML, half a JSON text): it is then asked for again, like a 5xx. Whatever else it throws ends the call.
   */
  readonly validate?: ((body: ApiText) => void) | undefined;
}

/** A 2xx answer, complete. */
export interface ApiText {
  readonly status: number;
  readonly bytes: Buffer;
  /** Gives the memory of `bytes` back: see `Body`. Nobody has to. */
  release(): void;
  /** Decoded when it is asked for. */
  readonly text: string;
  /** False when some byte was no UTF-8 and is a replacement character in `text`. */
  readonly validUtf8: boolean;
  readonly rateLimits: readonly RateLimit[];
  /** Its `Date` header, in milliseconds since 1970: whole seconds. Undefined where it had none that can be read. */
  readonly dateMs: number | undefined;
}

/** What came of one attempt. A value even when it failed: a failure also tells about rate limits, and may be retried. */
export type Outcome =
  | { readonly ok: true; readonly response: ApiText; readonly rateLimits: readonly RateLimit[] }
  | { readonly ok: false; readonly error: ApiError; readonly rateLimits: readonly RateLimit[] };

/** The one signature of the transport and of everything that wraps it. Rejects on abort, and on faults of our own. */
export type Send = (request: ApiRequest) => Promise<Outcome>;
