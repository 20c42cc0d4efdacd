/** How many requests one user, or one token of an account, may send. */
export interface RateBudget {
  readonly requests: number;
  /** Length of the sliding window. */
  readonly windowMs: number;
  /** How long one that sent too many is refused. */
  readonly blockMs: number;
}

/** Cloudflare's published limit. */
export const defaultBudget: RateBudget = { requests: 1200, windowMs: 300_000, blockMs: 300_000 };

interface Usage {
  /** Times of the requests within the window, oldest first, from `head`. */
  timesMs: number[];
  head: number;
  blockedUntilMs: number;
}

/** What the limiter says about one request. */
export interface Verdict {
  /** Present when the request is refused: whole seconds, rounded up. */
  readonly retryAfterSeconds?: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** The sliding window of each owner of credentials. A block of `blockMs` follows the first request that is too many. */
export class RateLimit {
  readonly #budget: RateBudget | null;
  readonly #usage = new Map<string, Usage>();

  constructor(budget: RateBudget | null) {
    this.#budget = budget;
  }

  /** Counts a request, unless its owner is blocked. */
  admit(owner: string, nowMs: number): Verdict {
    const budget = this.#budget;
    if (budget === null) return { headers: ratelimitHeaders(defaultBudget, defaultBudget.requests, 0) };
    const usage = this.#usage.get(owner) ?? { timesMs: [], head: 0, blockedUntilMs: 0 };
    this.#usage.set(owner, usage);
    if (usage.blockedUntilMs <= nowMs && usage.blockedUntilMs > 0) {
      Object.assign(usage, { timesMs: [], head: 0, blockedUntilMs: 0 });
    }
    if (usage.blockedUntilMs === 0) this.#count(usage, budget, nowMs);
    if (usage.blockedUntilMs > 0) {
      const leftMs = usage.blockedUntilMs - nowMs;
      return { retryAfterSeconds: Math.ceil(leftMs / 1000), headers: ratelimitHeaders(budget, 0, leftMs) };
    }
    const used = usage.timesMs.length - usage.head;
    const resetMs = (usage.timesMs[usage.head] as number) + budget.windowMs - nowMs;
    return { headers: ratelimitHeaders(budget, budget.requests - used, resetMs) };
  }

  #count(usage: Usage, budget: RateBudget, nowMs: number): void {
    while ((usage.timesMs[usage.head] ?? Number.POSITIVE_INFINITY) <= nowMs - budget.windowMs) usage.head++;
    if (usage.head > 1000) {
      usage.timesMs.splice(0, usage.head);
      usage.head = 0;
    }
    if (usage.timesMs.length - usage.head >= budget.requests) usage.blockedUntilMs = nowMs + budget.blockMs;
    else usage.timesMs.push(nowMs);
  }
}

function ratelimitHeaders(budget: RateBudget, left: number, resetMs: number): Record<string, string> {
  return {
    Ratelimit: `"default";r=${left};t=${Math.ceil(resetMs / 1000)}`,
    'Ratelimit-Policy': `"default";q=${budget.requests};w=${Math.ceil(budget.windowMs / 1000)}`,
  };
}
