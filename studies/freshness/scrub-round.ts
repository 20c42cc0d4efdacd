import { gcraOf } from '../../src/ingest/cloudflare/api-budget.sql.ts';
import { addRange, type Coverage, type Range } from '../../src/ingest/planning/coverage.ts';
import { afterDone, idleLane, type LaneState } from '../../src/ingest/planning/lane.ts';
import { type PlanPolicy, planLane, type SourceProgress, scrubFacts } from '../../src/ingest/planning/planner.ts';
import { SCRUB_WINDOW_ENTRIES, scrubUrgency } from '../../src/ingest/planning/scrub.ts';
import { afterPage, requestWindow, type Walk } from '../../src/ingest/planning/walk.ts';
import { seededRandom } from '../../test/support/process/seeded-random.ts';

const DAY_MS = 86_400_000;
const HISTORY_MS = 548 * DAY_MS;
const PAGE_CAP = 1_000;
const TICK_MS = 30_000;
/** That prove an end in doubt (src/ingest/planning/proof.ts): that of a page which happens to have a suspicious size. */
const QUESTIONS = 3;
/** Virtual time 0. */
const START_MS = Date.UTC(2026, 0, 1);

export interface ScrubWorld {
  readonly organizations: number;
  /** In all of them, over 18 months. */
  readonly entries: number;
  /** The k-th busiest has 1/k^exponent of the entries of the busiest one. */
  readonly zipfExponent: number;
  /** Requests in 5 minutes, and the share of them that reads history again. */
  readonly apiBudget: number;
  readonly share: number;
}

export interface RoundOutcome {
  readonly windows: number;
  readonly requests: number;
  /** Entries per page, on average, where there are any. */
  readonly fill: number;
  readonly days: number;
  readonly requestsPerDay: number;
  /** What the share allows for in the time that the round took. */
  readonly allowed: number;
}

interface Scrubbed {
  readonly times: Float64Array;
  readonly coverage: Coverage;
  state: LaneState | undefined;
}

/**
 * One round over a whole world in virtual time: the planner's own windows, cut to what is stored, the order in which the daemon takes sources, and leave as
 * the rate limiter of the share gives it. Each window is read to its end, page by page; an API that works needs no other request but for ends in doubt.
 */
export const runRound = (world: ScrubWorld, seed: number): RoundOutcome => {
  const sources = drawSources(world, seed);
  const policy: PlanPolicy = {
    horizonMs: START_MS - HISTORY_MS,
    settleDelaysMs: [],
    intervals: { liveMs: 0, settleMs: 0 },
    scrub: { everyMs: 7 * DAY_MS },
  };
  const perTick = (TICK_MS * world.share) / gcraOf(world.apiBudget).spacingMs;
  const waiting = new Waiting(policy);
  for (const source of sources) waiting.add(source, START_MS);
  let [windows, requests, pages, entries, credit, nowMs] = [0, 0, 0, 0, 0, START_MS];
  while (waiting.size > 0) {
    nowMs += TICK_MS;
    // What is not used is saved up for two ticks.
    credit = Math.min(credit + perTick, 2 * perTick + 1);
    // A source has one window in each plan.
    const planned: Scrubbed[] = [];
    while (credit >= 1 && waiting.size > 0) {
      const { source, walk } = waiting.next(nowMs);
      const read = readWindow(source, walk);
      windows += 1;
      requests += read.requests;
      pages += read.entries > 0 ? read.requests : 0;
      entries += read.entries;
      credit -= read.requests;
      planned.push(source);
    }
    for (const source of planned) waiting.add(source, nowMs);
  }
  const days = (nowMs - START_MS) / DAY_MS;
  const allowed = (world.apiBudget * world.share * (nowMs - START_MS)) / 300_000;
  return { windows, requests, fill: entries / pages, days, requestsPerDay: requests / days, allowed };
};

/** The sources that have something left in the first round, the most urgent one first. */
class Waiting {
  readonly #policy: PlanPolicy;
  /** Descending: the next one is the last. */
  readonly #sources: { readonly source: Scrubbed; readonly urgency: number }[] = [];

  constructor(policy: PlanPolicy) {
    this.#policy = policy;
  }

  get size(): number {
    return this.#sources.length;
  }

  /** Who has nothing left is not added. */
  add(source: Scrubbed, nowMs: number): void {
    if (this.#plan(source, nowMs)?.round?.number !== 1) return;
    const urgency = scrubUrgency({ ...scrubFacts(progressOf(source)), walking: false });
    const at = this.#sources.findLastIndex((other) => other.urgency > urgency) + 1;
    this.#sources.splice(at, 0, { source, urgency });
  }

  next(nowMs: number): { readonly source: Scrubbed; readonly walk: Walk } {
    const source = this.#sources.pop()?.source;
    const walk = source && this.#plan(source, nowMs);
    if (source === undefined || walk === undefined) throw new Error('nothing is left');
    return { source, walk };
  }

  #plan(source: Scrubbed, nowMs: number): Walk | undefined {
    return planLane('scrub', progressOf(source), nowMs, this.#policy);
  }
}

const progressOf = ({ coverage, state }: Scrubbed): SourceProgress => ({
  readBefore: coverage,
  coverage: [coverage],
  lanes: state === undefined ? {} : { scrub: state },
  holes: [],
  largestPage: PAGE_CAP,
});

const readWindow = (source: Scrubbed, walk: Walk): { requests: number; entries: number } => {
  const claim = sized(source.times, walk.claim);
  let open: Walk = { ...walk, claim };
  const { fromMs, toMs } = requestWindow(open);
  const all = source.times.subarray(lowerBound(source.times, fromMs), lowerBound(source.times, toMs));
  for (let read = 0; ; ) {
    const timesMs = [...all.toReversed().subarray(read, read + open.pageLimit)];
    read += timesMs.length;
    const nextCursor = read < all.length ? `behind ${read}` : undefined;
    const step = afterPage(open, { entries: timesMs.length, timesMs, nextCursor }, PAGE_CAP);
    open = step.walk;
    if (step.kind === 'done' || step.kind === 'doubtful') {
      source.state = afterDone(source.state ?? idleLane, open);
      return { requests: open.pages + (step.kind === 'doubtful' ? QUESTIONS : 0), entries: all.length };
    }
    if (step.kind !== 'next') throw new Error(`a window ended ${step.kind}`);
  }
};

/** As src/ingest/sync/store/entries.sql.ts has it: the newest part that holds so many. */
const sized = (times: Float64Array, { fromMs, toMs }: Range): Range => {
  const before = times[lowerBound(times, toMs) - 1 - SCRUB_WINDOW_ENTRIES];
  if (before === undefined || before < fromMs) return { fromMs, toMs };
  return { fromMs: Math.min(Math.ceil((before + 1) / 1_000) * 1_000, toMs - 1_000), toMs };
};

const drawSources = ({ organizations, entries, zipfExponent }: ScrubWorld, seed: number): Scrubbed[] => {
  const random = seededRandom(seed);
  const shares = Array.from({ length: organizations }, (_, rank) => (rank + 1) ** -zipfExponent);
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const coverage = addRange([], { fromMs: START_MS - HISTORY_MS, toMs: START_MS });
  return shares.map((share) => {
    const times = new Float64Array(Math.round((share / whole) * entries));
    for (let n = 0; n < times.length; n += 1) times[n] = Math.floor(START_MS - random() * HISTORY_MS);
    return { times: times.sort(), coverage, state: undefined };
  });
};

const lowerBound = (ascending: Float64Array, value: number): number => {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
};
