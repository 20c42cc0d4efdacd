import { parseHttpDate } from './rate-limit-headers.ts';

/** What time it is at Cloudflare, at the earliest. */
export interface ServerClock {
  /** Takes the `Date` header of an answer that has just arrived; anything but a date changes nothing. */
  observe(dateHeader: string | undefined): void;
  /** Milliseconds since the epoch, never later than Cloudflare's own clock; undefined before the first answer. */
  nowMs(): number | undefined;
}

/**
 * The last `Date` header plus the time since then. It is a lower bound, since the header drops the fraction of its
 * second and was written before it arrived. The host's wall clock is never asked: were it wrong, the part of the log
 * that Cloudflare has yet to write would count as read, and never be read again (invariant 8). The monotonic
 * clock can only be slow (it may stop while the host sleeps), and that is harmless.
 *
 * @param monotonicNowMs milliseconds that never go back, from any start: `performance.now`
 */
export function createServerClock(monotonicNowMs: () => number): ServerClock {
  let last: { readonly dateMs: number; readonly atMs: number } | undefined;
  return {
    observe(dateHeader) {
      const dateMs = parseHttpDate(dateHeader);
      // Use the most recent header, not the largest value, so that one fast server clock does not stick.
      if (dateMs !== undefined) last = { dateMs, atMs: monotonicNowMs() };
    },
    nowMs() {
      return last && last.dateMs + Math.floor(monotonicNowMs() - last.atMs);
    },
  };
}
