import { sleep } from './wire/middleware.ts';
import type { RequestBudget } from './wire/request.ts';

/** Cloudflare answers an address 200 requests a second; other processes behind it have the other half. */
const MAX_PER_SECOND = 100;
const SECOND_MS = 1_000;
const BUDGET_SECONDS = 300;

export interface ProcessLimitOptions {
  /** Of one principal, in 5 minutes: a configured rate that is higher than the limit is allowed. */
  readonly requestsPerWindow: number;
  /** Never goes back. */
  readonly nowMs: () => number;
  readonly sleep?: (durationMs: number, signal: AbortSignal) => Promise<void>;
}

/** Resolves when this process may send one more request. Rejects with the signal's reason. */
export type ProcessLimit = (signal: AbortSignal) => Promise<void>;

/** No second sees more than 100 requests of this process, however many principals it reads with. */
export const createProcessLimit = (options: ProcessLimitOptions): ProcessLimit => {
  const { requestsPerWindow, nowMs, sleep: wait = sleep } = options;
  const perSecond = Math.max(MAX_PER_SECOND, Math.ceil(requestsPerWindow / BUDGET_SECONDS));
  const sentAtMs: number[] = new Array(perSecond).fill(Number.NEGATIVE_INFINITY);
  let next = 0;
  return async (signal) => {
    const now = nowMs();
    const place = next;
    next = (next + 1) % perSecond;
    const atMs = Math.max(now, (sentAtMs[place] ?? Number.NEGATIVE_INFINITY) + SECOND_MS);
    sentAtMs[place] = atMs;
    if (atMs > now) await wait(atMs - now, signal);
  };
};

/** The budget of a principal, below the limit of the process. */
export const withProcessLimit = <Budget extends RequestBudget>(budget: Budget, limit: ProcessLimit): Budget => ({
  ...budget,
  acquire: async (signal, isListing) => {
    await budget.acquire(signal, isListing);
    await limit(signal);
  },
});
