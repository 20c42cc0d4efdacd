import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addRange, type Coverage, type Range } from '../../src/domain/coverage.ts';
import { noIntervals } from '../../src/domain/lane-intervals.ts';
import { type PlanPolicy, planNext, type SourceProgress } from '../../src/domain/planner.ts';
import {
  afterPage,
  afterRefusedCursor,
  claimForPass,
  requestWindow,
  type Walk,
  type WalkStep,
  withSmallerPages,
} from '../../src/domain/walk.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 9, 1, 12, 0, 0, 321);
const DELAYS_MS = [600_000, DAY_MS];
const policyAt = (nowMs: number): PlanPolicy => ({
  horizonMs: nowMs - 60 * DAY_MS,
  settleDelaysMs: DELAYS_MS,
  intervals: noIntervals,
});

type Entry = { readonly timeMs: number };

const faultKind = fc.constantFrom('repeat', 'endless', 'timeout', 'misplaced', 'expired');

/** How the simulated API behaves: everything that its documentation leaves open, and what goes wrong. */
const world = fc.record({
  // From now back in time: so much earlier, so many entries, so far apart.
  bursts: fc.array(
    fc.record({
      gapMs: fc.constantFrom(0, 1, 400, 999, 1_000, 5_000, 3_600_000, 3 * DAY_MS),
      count: fc.constantFrom(1, 1, 2, 5, 40, 98, 99, 100, 101, 150, 200, 999, 1_000, 1_001),
      apartMs: fc.constantFrom(0, 0, 1, 30, 1_500),
    }),
    { maxLength: 6 },
  ),
  late: fc.array(fc.integer({ min: 0, max: 3 * DAY_MS }), { maxLength: 5 }),
  cap: fc.constantFrom(100, 1_000),
  cursors: fc.constantFrom(true, true, true, false),
  lastPage: fc.constantFrom('no_cursor', 'no_cursor', 'empty_page', 'refused'),
  // Pages after the first before the cursor is refused.
  cursorUses: fc.constantFrom(1, 2, 5, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
  // Each second page (the first of all too) or each third is empty, with a cursor; 0: none.
  emptyEvery: fc.constantFrom(0, 0, 2, 3),
  inclusive: fc.boolean(),
  precisionMs: fc.constantFrom(1, 1_000),
  largestPage: fc.constantFrom(1_000, 1_000, 1_000, 120, 30),
  pagesPerTurn: fc.constantFrom(1, 3, 20),
  faults: fc.array(fc.record({ at: fc.nat(25), kind: faultKind }), { maxLength: 3 }),
});
type World = typeof world extends fc.Arbitrary<infer T> ? Readonly<T> : never;

type Reply =
  | { readonly kind: 'page'; readonly entries: readonly Entry[]; readonly nextCursor: string | undefined }
  | { readonly kind: 'refused_cursor' | 'too_large' | 'timeout' };

class SimulatedLog {
  readonly world: World;
  entries: readonly Entry[];
  requests = 0;
  readonly #chains: { readonly asked: string; readonly matching: readonly Entry[] }[] = [];
  #faults: World['faults'];

  constructor(of: World) {
    this.world = of;
    this.#faults = of.faults;
    let timeMs = NOW_MS;
    const entries: Entry[] = [];
    for (const { gapMs, count, apartMs } of of.bursts) {
      timeMs -= gapMs;
      for (let each = 0; each < count; each += 1) entries.push({ timeMs: timeMs - each * apartMs });
      timeMs -= count * apartMs;
    }
    this.entries = entries.toReversed();
  }

  add(entries: readonly Entry[]): void {
    this.entries = [...this.entries, ...entries].sort((a, b) => a.timeMs - b.timeMs);
  }

  fetch(walk: Walk): Reply {
    this.requests += 1;
    const canHappen = {
      timeout: true,
      endless: true,
      misplaced: walk.cursor === undefined,
      repeat: walk.cursor !== undefined,
      expired: walk.cursor !== undefined,
    };
    const fault = this.#faults.find(({ at, kind }) => at < this.requests && canHappen[kind]);
    this.#faults = this.#faults.filter((each) => each !== fault);
    if (fault?.kind === 'expired') return { kind: 'refused_cursor' };
    if (fault?.kind === 'timeout') return { kind: 'timeout' };
    const reply = this.#page(walk, fault?.kind === 'misplaced');
    if (reply.kind !== 'page') return reply;
    if (fault?.kind === 'repeat') return { ...reply, nextCursor: walk.cursor };
    if (fault?.kind === 'endless') return { kind: 'page', entries: [], nextCursor: `endless:${this.requests}` };
    return reply;
  }

  #page(walk: Walk, misplaced: boolean): Reply {
    const { cap, cursors, lastPage, cursorUses, emptyEvery, largestPage } = this.world;
    const endless = `endless:${this.requests}`;
    if (walk.cursor?.startsWith('endless')) return { kind: 'page', entries: [], nextCursor: endless };
    const asked = JSON.stringify([requestWindow(walk), walk.pageLimit]);
    const [id = 0, index = 0, offset = 0] = (walk.cursor ?? `${this.#chains.length}:0:0`).split(':').map(Number);
    this.#chains[id] ??= { asked, matching: this.#matching(requestWindow(walk), misplaced) };
    const chain = this.#chains[id];
    // A cursor belongs to the window and the page size that it was given for.
    expect(asked).toBe(chain.asked);
    if (index > cursorUses) return { kind: 'refused_cursor' };
    const { matching } = chain;
    if (lastPage === 'refused' && index > 0 && offset >= matching.length) return { kind: 'refused_cursor' };
    const empty = cursors && emptyEvery > 0 && index % emptyEvery === emptyEvery - 2;
    const entries = empty ? [] : matching.slice(offset, offset + Math.min(walk.pageLimit, cap));
    if (entries.length > largestPage) return { kind: 'too_large' };
    const next = offset + entries.length;
    const goesOn = empty || next < matching.length || (lastPage !== 'no_cursor' && entries.length > 0);
    return { kind: 'page', entries, nextCursor: cursors && goesOn ? `${id}:${index + 1}:${next}` : undefined };
  }

  /** The bounds are read to a precision, down or up, and may themselves belong to the window or not. */
  #matching({ fromMs, toMs }: Range, misplaced: boolean): readonly Entry[] {
    const { precisionMs, inclusive } = this.world;
    const first = (inclusive ? Math.floor : Math.ceil)(fromMs / precisionMs) * precisionMs;
    const last = Math.floor(toMs / precisionMs) * precisionMs;
    const matching = this.entries.filter(({ timeMs }) =>
      inclusive ? timeMs >= first && timeMs <= last : timeMs > first && timeMs < last,
    );
    // The newest entry comes first of all, as if the order had not been obeyed.
    return misplaced ? [...matching.slice(-1), ...matching.slice(0, -1)] : matching;
  }

  /** No world needs more: three passes read each page twice at most, and three tries precede each failure. */
  mostRequests(failures: number): number {
    const { cap, largestPage, faults } = this.world;
    // The page size goes down by quarters until pages are small enough.
    const size = largestPage === 30 ? 15 : largestPage === 120 ? 62 : 1_000;
    const endless = 201 * faults.filter(({ kind }) => kind === 'endless').length;
    return endless + 30 * (failures + 2) + (6 + 4 * failures) * Math.ceil(this.entries.length / Math.min(size, cap));
  }

  /** True where every source of doubt can be resolved: then all must be read in the end. */
  get isSound(): boolean {
    const { cursors, lastPage, cursorUses, largestPage, emptyEvery } = this.world;
    if (cursors && lastPage !== 'refused' && cursorUses === Number.POSITIVE_INFINITY) return true;
    const times = this.entries.map(({ timeMs }) => timeMs);
    const dense = times.some((timeMs, index) => timeMs - (times[index - 90] ?? Number.NEGATIVE_INFINITY) < 4_000);
    return !dense && largestPage === 1_000 && emptyEvery === 0;
  }
}

/** What src/sync does with the decisions, without its edges. Returns the progress once there is nothing left to do. */
const drive = (log: SimulatedLog, begin: SourceProgress, nowMs: number, counts: Map<string, number>) => {
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const read = new Set<Entry>();
  let progress = begin;
  let failures = 0;
  while (failures < 8) {
    const plan = planNext(progress, nowMs, policyAt(nowMs));
    if (plan.kind === 'idle') return { progress, failures, idle: true };
    let { walk } = plan;
    const seenCursors = new Set<string>();
    for (let pages = 0; pages < log.world.pagesPerTurn; pages += 1) {
      if (walk.cursor !== undefined) seenCursors.add(walk.cursor);
      const reply = log.fetch(walk);
      if (reply.kind === 'page') for (const entry of reply.entries) read.add(entry);
      else count(reply.kind);
      const step = stepAfter(walk, reply, seenCursors);
      if (step === undefined || step.kind === 'failed') failures += 1;
      if (step === undefined) {
        progress = { ...progress, failures };
        break;
      }
      count(step.kind === 'done' && step.assumed ? 'assumed' : step.kind === 'failed' ? step.fault : step.kind);
      count(`${walk.lane} walk`);
      const goesOn = step.kind === 'next' || step.kind === 'again' ? step.walk : undefined;
      progress = commit(progress, walk, step, goesOn, ({ fromMs, toMs }) => {
        expect(log.entries.filter((each) => !read.has(each) && fromMs <= each.timeMs && each.timeMs < toMs)).toEqual(
          [],
        );
      });
      if (step.kind === 'failed') progress = { ...progress, failures };
      if (goesOn === undefined) break;
      if (step.kind === 'again') seenCursors.clear();
      walk = goesOn;
    }
  }
  return { progress, failures, idle: false };
};

const stepAfter = (walk: Walk, reply: Reply, seenCursors: ReadonlySet<string>): WalkStep | undefined => {
  if (reply.kind !== 'page') {
    if (reply.kind === 'timeout') return undefined;
    return reply.kind === 'too_large' ? withSmallerPages(walk) : afterRefusedCursor(walk);
  }
  const timesMs = reply.entries.map(({ timeMs }) => timeMs);
  return afterPage(walk, { entries: timesMs.length, timesMs, nextCursor: reply.nextCursor }, seenCursors);
};

const commit = (
  progress: SourceProgress,
  walk: Walk,
  step: WalkStep,
  goesOn: Walk | undefined,
  check: (claimed: Range) => void,
): SourceProgress => {
  const claims = [0, ...DELAYS_MS].map((delayMs, pass): Coverage => {
    if (step.claim === undefined) return [];
    return pass === 0 ? [step.claim] : claimForPass(walk, step.claim, delayMs);
  });
  for (const range of claims.flat()) check(range);
  return {
    failures: 0,
    coverage: claims.map((ranges, pass) => ranges.reduce(addRange, progress.coverage[pass] ?? [])),
    openWalks: [
      ...progress.openWalks.filter(({ lane }) => lane !== walk.lane),
      ...(goesOn === undefined ? [] : [goesOn]),
    ],
  };
};

describe('walks over a simulated log', () => {
  it('never claim what they did not read, come to an end, and read all where the API lets them', () => {
    const counts = new Map<string, number>();
    fc.assert(
      fc.property(world, (of) => {
        const log = new SimulatedLog(of);
        const first = drive(log, { coverage: [], openWalks: [], failures: 0 }, NOW_MS, counts);
        expect(log.requests).toBeLessThanOrEqual(log.mostRequests(first.failures));
        if (log.isSound) expect(first.idle).toBe(true);
        if (!first.idle) return;
        expect(first.progress.coverage[0]).toEqual([{ fromMs: policyAt(NOW_MS).horizonMs, toMs: NOW_MS - 1_000 }]);
        // Thirty hours later: new entries, and some that came late. What is claimed now must be read now.
        const laterMs = NOW_MS + 30 * 3_600_000;
        log.add(of.late.map((agoMs) => ({ timeMs: laterMs - agoMs })));
        log.add(log.entries.slice(0, 50).map(() => ({ timeMs: laterMs - 60_000 })));
        const second = drive(log, first.progress, laterMs, counts);
        expect(log.requests).toBeLessThanOrEqual(log.mostRequests(first.failures + second.failures));
        if (log.isSound) expect(second.idle).toBe(true);
      }),
      { seed: 1, numRuns: 1_000 },
    );
    // Not one of the ways through walk.ts may be left out by the worlds above.
    const steps = ['next', 'again', 'done', 'assumed', 'cursor_repeated', 'too_many_empty_pages', 'stalled'];
    const met = ['refused_cursor', 'too_large', 'timeout', 'live walk', 'settle walk', 'backfill walk'];
    for (const each of [...steps, ...met]) expect(counts.get(each) ?? 0, each).toBeGreaterThan(50);
  });
});
