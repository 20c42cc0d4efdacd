/**
 * The right to send requests, shared by all replicas that use the same credential. Implemented in PostgreSQL
 * (api-budget.sql.ts); asked by the client before every single attempt, retries included.
 */
export interface RequestBudget {
  /** Resolves when one request may be sent now. Rejects when the signal aborts or the database is unreachable. */
  acquire(signal: AbortSignal): Promise<void>;
  /** Sends nothing, from any replica, for this long: `Retry-After` of a 429, or a `Ratelimit` nearly spent. */
  pause(durationMs: number, reason: 'retry_after' | 'ratelimit'): Promise<void>;
}
