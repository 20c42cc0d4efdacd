import { type Coverage, gapsIn, intersect, isEmpty, isWithin, type Range } from './coverage.ts';
import type { LaneIntervals } from './lane-intervals.ts';
import { type Lane, lanes, OVERLAP_MS, startWalk, type Walk } from './walk.ts';

/** What is known of one source: what each pass has read (index 0 is the first reading), and the walks left open. */
export interface SourceProgress {
  readonly coverage: readonly Coverage[];
  readonly openWalks: readonly Walk[];
  /** How often in a row walks of this source have failed. */
  readonly failures: number;
}

export interface PlanPolicy {
  /** Nothing before this is wanted: the configured start, or Cloudflare's retention, whichever is later. */
  readonly horizonMs: number;
  /** The delays of passes 1, 2, …: the time after which the same time is read again for late entries. */
  readonly settleDelaysMs: readonly number[];
  /** The live tail is asked for once this much of it is unread; settle gaps wait in the same way. */
  readonly intervals: LaneIntervals;
  /** Only `[horizonMs, untilMs)` is wanted, whatever walks are open: for a backfill that somebody asked for. */
  readonly untilMs?: number | undefined;
}

/** The next thing to do for a source: go on with an open walk, begin one, or nothing until `now` moves on. */
export type Plan = { readonly kind: 'walk'; readonly walk: Walk } | { readonly kind: 'idle' };

const DAY_MS = 86_400_000;
/** A gap of up to a week that ends at now (an outage) is read in one walk; of a longer one (the first start) the
 * newest day comes first. */
const RECOVERY_MS = 7 * DAY_MS;
/** Behind the newest day, each window reaches back this many times its own distance from now. */
const REACH_BACK_FACTOR = 32;
const NARROWEST_MS = 3_600_000;

/**
 * The planner: fill the newest gap first. Live tail, first backfill, recovery after an outage and re-reading for late
 * entries are all gaps of some pass. `nowMs` is Cloudflare's own time. An open walk goes on before a new one of its
 * lane begins; live comes before settle before backfill.
 */
export const planNext = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): Plan => {
  const [walk] = planLanes(progress, nowMs, policy);
  return walk === undefined ? { kind: 'idle' } : { kind: 'walk', walk };
};

/** What there is to do in each lane, the most urgent first; empty where there is nothing until `nowMs` moves on. */
export const planLanes = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): readonly Walk[] =>
  lanes.flatMap((lane) => {
    const walk =
      policy.untilMs === undefined
        ? planLane(lane, progress, nowMs, policy)
        : lane === 'backfill'
          ? planBackfillUntil(progress, nowMs, policy)
          : undefined;
    return walk === undefined ? [] : [walk];
  });

const planLane = (lane: Lane, progress: SourceProgress, nowMs: number, policy: PlanPolicy): Walk | undefined => {
  const open = progress.openWalks.find((walk) => walk.lane === lane);
  if (open !== undefined) return open;
  const claim = nextClaim[lane](progress, nowMs, policy);
  return claim && startWalk(lane, narrowed(claim, progress.failures), nowMs, policy.horizonMs);
};

const planBackfillUntil = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): Walk | undefined => {
  const claim = nextClaim.backfill(progress, nowMs, policy);
  if (claim === undefined) return undefined;
  // Failures may have made it narrower than the claim; one of the daemon's may reach behind `untilMs`.
  const open = progress.openWalks.find((walk) => walk.lane === 'backfill' && isWithin(walk.claim, claim));
  return open ?? startWalk('backfill', narrowed(claim, progress.failures), nowMs);
};

/** After repeated failures (time-outs over a wide window among them) each new walk asks for a smaller newest part. */
const narrowed = (claim: Range, failures: number): Range => {
  const wholeMs = claim.toMs - claim.fromMs;
  const partMs = Math.max(Math.min(wholeMs, NARROWEST_MS), wholeMs / 4 ** Math.max(0, failures - 1));
  return { fromMs: Math.round(claim.toMs - partMs), toMs: claim.toMs };
};

/** Coverage ends a second before now, so that the request itself, which asks for a second more, ends at now. */
const newestClaimable = (nowMs: number): number => nowMs - OVERLAP_MS;

/** What the first reading lacks, oldest first. */
const unread = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): Range[] => {
  const endMs = Math.min(newestClaimable(nowMs), policy.untilMs ?? Number.POSITIVE_INFINITY);
  return gapsIn({ fromMs: policy.horizonMs, toMs: endMs }, progress.coverage[0] ?? []);
};

const nextClaim: Record<Lane, (progress: SourceProgress, nowMs: number, policy: PlanPolicy) => Range | undefined> = {
  live: (progress, nowMs, policy) => {
    const gap = unread(progress, nowMs, policy).at(-1);
    if (gap === undefined || gap.toMs < newestClaimable(nowMs)) return undefined;
    if (gap.toMs - gap.fromMs < policy.intervals.liveMs) return undefined;
    const whole = gap.toMs - gap.fromMs <= RECOVERY_MS;
    return { fromMs: whole ? gap.fromMs : gap.toMs - DAY_MS, toMs: gap.toMs };
  },
  backfill: (progress, nowMs, policy) => {
    // The gap that ends at now belongs to the live lane, even while it is too young to be asked for.
    const olderThanMs = policy.untilMs ?? newestClaimable(nowMs) - 1;
    const gap = unread(progress, nowMs, policy)
      .filter((range) => range.toMs <= olderThanMs)
      .at(-1);
    if (gap === undefined) return undefined;
    const reachMs = REACH_BACK_FACTOR * Math.max(DAY_MS, nowMs - gap.toMs);
    return { fromMs: Math.max(gap.fromMs, gap.toMs - reachMs), toMs: gap.toMs };
  },
  settle: (progress, nowMs, policy) => {
    for (const [index, delayMs] of policy.settleDelaysMs.entries()) {
      const wanted = { fromMs: policy.horizonMs, toMs: Math.min(nowMs - delayMs, newestClaimable(nowMs)) };
      if (isEmpty(wanted)) continue;
      // In batches: one request settles at least a whole delay's time.
      const oldestPartBeforeMs = nowMs - delayMs - Math.max(delayMs, policy.intervals.settleMs);
      const gap = settleGaps(wanted, progress.coverage[index + 1] ?? [], progress.coverage[0] ?? [])
        .filter((range) => range.fromMs <= oldestPartBeforeMs)
        .at(-1);
      if (gap !== undefined) return gap;
    }
    return undefined;
  },
};

/** What this pass lacks and the first reading has, oldest first: what was never read is for the other lanes. */
const settleGaps = (wanted: Range, covered: Coverage, firstRead: Coverage): Range[] =>
  gapsIn(wanted, covered).flatMap((gap) =>
    firstRead.map((range) => intersect(range, gap)).filter((range) => !isEmpty(range)),
  );
