import { setTimeout } from 'node:timers/promises';
import { ApiError } from '../../../base/errors.ts';
import type { SourceKindName } from '../../sources/registry.ts';
import type { RateLimit } from './rate-limit-headers.ts';

/** Which of Cloudflare's operations is called: a bounded label for metrics, unlike the path. */
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
  /** How long one attempt may take as a whole, the wait for the budget not included; undefined: as long as the client allows. */
  readonly attemptMs?: number | undefined;
  /** True: what fails is not sent again, but for a newer credential. */
  readonly once?: boolean;
  /**
   * Reads an answer, inside the attempt. Throws ApiError `unreadable` for a body that cannot be right (a page of HTML, half a JSON
   * text): the request is then sent again, as after a 5xx. Whatever else it throws ends the call.
   */
  readonly decode: (answer: ApiText) => T;
}

/** An answer of status 200, complete. */
export interface ApiText {
  readonly bytes: Buffer;
  /** Returns the memory of `bytes` to the pool (read-body.ts); optional. */
  release(): void;
  /** Decoded when it is asked for. */
  readonly text: string;
  /** False when some byte was no UTF-8 and is a replacement character in `text`. */
  readonly validUtf8: boolean;
  readonly rateLimits: readonly RateLimit[];
  /** Its `Date` header, in milliseconds since 1970: whole seconds. Undefined if it had none that can be read. */
  readonly dateMs: number | undefined;
  /** Its `CF-Ray` header, by which Cloudflare knows the request. Undefined if it had none of that form. */
  readonly cfRay: string | undefined;
}

/** The result of one attempt. A value even if it failed: a failure also tells about rate limits, and may be retried. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T; readonly rateLimits: readonly RateLimit[] }
  | { readonly ok: false; readonly error: ApiError; readonly rateLimits: readonly RateLimit[] };

/** The one signature of the transport and of everything that wraps it. Rejects on abort, and on faults of our own. */
export type Send = <T>(request: ApiRequest<T>) => Promise<Outcome<T>>;

/**
 * Permission to send requests, shared by all replicas that use the same credential. Implemented in PostgreSQL
 * (api-budget.sql.ts); asked by the client before every single attempt, retries included.
 */
export interface RequestBudget {
  /**
   * Resolves when one request may be sent now; a listing waits for no more than one other. Rejects when the signal aborts or the database is
   * unreachable.
   */
  acquire(signal: AbortSignal, isListing?: boolean): Promise<void>;
  /** Sends nothing, from any replica, for this long: `Retry-After` of a 429, or a `Ratelimit` nearly spent. */
  pause(durationMs: number, reason: 'retry_after' | 'ratelimit'): Promise<void>;
}

/**
 * An id as one segment of a path. Throws ApiError `bad_request` for one that no encoding keeps from changing the
 * path: servers and proxies resolve `..`, and `%2E%2E` too.
 */
export function pathSegment(id: string): string {
  if (['', '.', '..'].includes(id)) throw new ApiError('bad_request', `The id "${id}" cannot be part of a path`);
  return encodeURIComponent(id.toWellFormed());
}

/** Waits; rejects with the signal's own reason as soon as it aborts. */
export async function sleep(durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(durationMs, undefined, { signal });
  } catch (error) {
    // The promise timer throws an AbortError of its own, with the reason only as its cause.
    signal.throwIfAborted();
    throw error;
  }
}
