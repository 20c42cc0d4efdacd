import { setTimeout } from 'node:timers/promises';
import { ApiError } from '../../../base/errors.ts';
import type { SourceKindName } from '../../sources/registry.ts';
import type { RateLimit } from './rate-limit-headers.ts';

/** A bounded label for metrics, unlike the path. */
export type ApiEndpoint =
  | 'organizations'
  | 'organization'
  | 'organization_profile'
  | 'organization_accounts'
  | 'accounts'
  | 'user'
  | `${SourceKindName}_audit_logs`;

/** One GET whose answer is a `T`. The path follows the base URL, starts with `/`, and has its variable parts encoded already. */
export interface ApiRequest<T> {
  readonly endpoint: ApiEndpoint;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Ends every wait, connection and body of the call; its own reason is thrown. */
  readonly signal: AbortSignal;
  /** How long one attempt may take, without the wait for the budget; undefined: as long as the client allows. */
  readonly attemptMs?: number | undefined;
  /** Nothing is retried, but for a newer credential. */
  readonly once?: boolean;
  /** Runs inside the attempt. Throws ApiError `unreadable` for what is to be sent again, as after a 5xx; else it ends
   * the call. */
  readonly decode: (answer: ApiText) => T;
}

export interface ApiText {
  readonly bytes: Buffer;
  release(): void;
  readonly text: string;
  /** False when some byte was no UTF-8, and became U+FFFD in `text`. */
  readonly validUtf8: boolean;
  readonly rateLimits: readonly RateLimit[];
  readonly dateMs: number | undefined;
  /** Its `CF-Ray` header, by which Cloudflare knows the request; undefined if it has another form. */
  readonly cfRay: string | undefined;
}

/** A failed attempt is a value as well: it tells about rate limits, and may be retried. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T; readonly rateLimits: readonly RateLimit[] }
  | { readonly ok: false; readonly error: ApiError; readonly rateLimits: readonly RateLimit[] };

export type Send = <T>(request: ApiRequest<T>) => Promise<Outcome<T>>;

/**
 * Shared by all replicas with the same credential (api-budget.sql.ts); asked before every attempt, retries included.
 */
export interface RequestBudget {
  /** A listing waits for no more than one other. Rejects when the signal aborts or the database is unreachable. */
  acquire(signal: AbortSignal, isListing?: boolean): Promise<void>;
  /** Sends nothing, from any replica, for this long: `Retry-After` of a 429, or a `Ratelimit` nearly spent. */
  pause(durationMs: number, reason: 'retry_after' | 'ratelimit'): Promise<void>;
}

/** Throws ApiError `bad_request` for an id that no encoding keeps from changing the path: servers resolve `%2E%2E`,
 * too. */
export function pathSegment(id: string): string {
  if (['', '.', '..'].includes(id)) throw new ApiError('bad_request', `The id "${id}" cannot be part of a path`);
  return encodeURIComponent(id.toWellFormed());
}

export async function sleep(durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(durationMs, undefined, { signal });
  } catch (error) {
    // The promise timer throws an AbortError of its own, with the reason only as its cause.
    signal.throwIfAborted();
    throw error;
  }
}
