import { addRange, type Coverage, gapsAmong, gapsIn, isEmpty, isWithin, type Range, touches } from './coverage.ts';
import { holesOfPass, idleLane, type KnownHole, type LaneState, NARROWEST_MS, type OlderTurn } from './lane.ts';
import { OTHER_LIMIT, SHORT_ANSWER } from './proof.ts';
import { nextScrub, SCRUB_PASS, type ScrubFacts, type ScrubGap, scrubIdleUntilMs, WIDEST_SCRUB_MS } from './scrub.ts';
import {
  isLookBack,
  type Lane,
  lanes,
  MAX_PAGE_LIMIT,
  nextFullSecond,
  OVERLAP_MS,
  requestWindow,
  startWalk,
  type Walk,
} from './walk.ts';

export interface SourceProgress {
  readonly coverage: readonly Coverage[];
  /** Claimed without proof, by version 0.1. */
  readonly unproven?: Coverage | undefined;
  readonly readBefore?: Coverage | undefined;
  readonly lanes: Partial<Readonly<Record<Lane, LaneState>>>;
  readonly holes: readonly KnownHole[];
  readonly largestPage: number;
  readonly eventRate?: { readonly perHour: number } | undefined;
}

export interface PlanPolicy {
  /** Nothing before this is wanted: the configured start, or Cloudflare's retention, whichever is later. */
  readonly horizonMs: number;
  /** Nothing before this is read a second time: retention may have dropped it. Undefined: that is the horizon. */
  readonly keptSinceMs?: number | undefined;
  readonly settleDelaysMs: readonly number[];
  /** The live tail is asked for once this much of it is unread; settle gaps wait in the same way. */
  readonly intervals: LaneIntervals;
  /** For a backfill that a user asked for: only `[horizonMs, untilMs)` is wanted. */
  readonly untilMs?: number | undefined;
  /** The API has refused wider windows to every source; undefined if it has not. */
  readonly widestMs?: number | undefined;
  /** How far from both ends of windows the API has shown entries (WindowLimit): no wider silence is believed without more. */
  readonly shownMs?: number | undefined;
  /** How long after the last round began the next one may; undefined: none is planned. */
  readonly scrub?: { readonly everyMs: number } | undefined;
}

const DAY_MS = 86_400_000;
/** A gap of up to a week that ends at now (an outage) is read in one walk; of a longer one the newest day comes first. */
const RECOVERY_MS = 7 * DAY_MS;
/**
 * After a look at all of history that was refused, or short: it tells how much there is, and hardly ever fills a page.
 */
export const FIRST_LOOK_MS = 3_600_000;
/** What may lie behind the newest entry of a look far back without being asked for by itself. */
const LOOK_SILENCE_MS = 2 * FIRST_LOOK_MS;
/** The newest part that is asked for first after an answer without entries. */
export const SILENT_LOOK_MS = DAY_MS;
/** Little enough to lose; and the last page, which is seldom full, costs little. */
const PAGES_PER_WINDOW = 20;
/** Without a stored entry, windows grow with what has been read: a day, 5, 30, 180 days, the rest. */
const SILENCE_GROWTH = 5;
/**
 * The share of a window that may lie before its first entry, or behind its last one, without being asked for by itself.
 */
export const SHORT_REST = 0.01;
const SILENT_SCRUB_MS = 31 * DAY_MS;

export const againSinceMs = ({ horizonMs, keptSinceMs = horizonMs }: PlanPolicy): number =>
  Math.max(horizonMs, keptSinceMs);

/** The most urgent first; empty if there is nothing until `nowMs`, Cloudflare's own time, moves on. */
export const planLanes = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): readonly Walk[] =>
  lanes.flatMap((lane) => planLane(lane, progress, nowMs, policy) ?? []);

/** The newest gap first: live tail, backfill, recovery and late entries are all gaps of some pass. An open walk goes on
 * first. */
export const planLane = (lane: Lane, progress: SourceProgress, nowMs: number, policy: PlanPolicy): Walk | undefined => {
  if (policy.untilMs !== undefined && lane !== 'backfill') return undefined;
  const state = progress.lanes[lane] ?? idleLane;
  const open = state.walk;
  if (lane === 'scrub' && policy.scrub === undefined) return undefined;
  if (open !== undefined && policy.untilMs === undefined && !isHopeless(open, policy)) return open;
  if (lane === 'scrub') return scrubWalk(state, progress, nowMs, policy);
  const older =
    lane === 'backfill' && state.older?.due === true ? olderGap(state.older, progress, nowMs, policy) : undefined;
  const gap = older ?? nextGap[lane](progress, nowMs, policy);
  if (gap === undefined) return undefined;
  if (lane === 'live' && looksAtAll(gap, progress, policy)) {
    return startWalk('live', gap, { readAtMs: nowMs, direction: 'desc', pageLimit: state.pageLimit });
  }
  // An open walk of the daemon may reach behind what a user asked for.
  if (open !== undefined && isWithin(open.claim, gap)) return open;
  const claim = newestPart(
    gap,
    widestWindow(lane, older === undefined ? state : { ...state, widthMs: undefined }, progress, policy, gap),
  );
  return startWalk(lane, claim, {
    readAtMs: nowMs,
    pageLimit: state.pageLimit,
    lookBackToMs: lane === 'live' && state.trouble === undefined ? policy.horizonMs : undefined,
    narrow: isBesideHole(progress, claim),
  });
};

/** At its first look, the newest first: most logs have no more than a page. A larger one tells how much there is. */
const looksAtAll = (gap: Range, { coverage, lanes: { live } }: SourceProgress, { widestMs }: PlanPolicy): boolean =>
  (coverage[0] ?? []).length === 0 &&
  live?.lookBack === undefined &&
  live?.widthMs === undefined &&
  widestMs === undefined &&
  gap.toMs - gap.fromMs > FIRST_LOOK_MS;

const isBesideHole = ({ holes }: SourceProgress, claim: Range): boolean =>
  holes.some(
    ({ range, due, reason }) =>
      !due && reason !== SHORT_ANSWER && (range.toMs === claim.fromMs || range.fromMs === claim.toMs),
  );

/** From the other side and with another limit, so that it shares no mistake with the first reading. */
const scrubWalk = (state: LaneState, progress: SourceProgress, nowMs: number, policy: PlanPolicy): Walk | undefined => {
  const next = scrubGap(progress, nowMs, policy);
  if (next === undefined) return undefined;
  const { widthMs = Number.POSITIVE_INFINITY } = state;
  const { widestMs = Number.POSITIVE_INFINITY } = policy;
  // Whatever other logs have shown: it shares no assumption with the first reading.
  const silentMs = progress.largestPage > 0 ? WIDEST_SCRUB_MS : SILENT_SCRUB_MS;
  const claim = newestPart(next.gap, Math.max(NARROWEST_MS, Math.min(widthMs, widestMs, WIDEST_SCRUB_MS, silentMs)));
  return startWalk('scrub', claim, {
    readAtMs: nowMs,
    direction: 'desc',
    pageLimit: Math.min(OTHER_LIMIT, state.pageLimit),
    round: next.round,
    narrow: isBesideHole(progress, claim),
  });
};

const scrubGap = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): ScrubGap | undefined =>
  policy.scrub && nextScrub(scrubFacts(progress), nowMs, { horizonMs: againSinceMs(policy), ...policy.scrub });

export const scrubFacts = ({ readBefore = [], lanes: states, unproven = [], holes }: SourceProgress): ScrubFacts => ({
  round: states.scrub?.round,
  readBefore,
  unproven,
  holes: holesOfPass(holes, SCRUB_PASS).reduce(addRange, []),
});

/** It has brought nothing, and narrower windows were refused to other sources; or version 0.2 began it, which believed
 * more. */
const isHopeless = ({ pages, claim, inside }: Walk, { widestMs = Number.POSITIVE_INFINITY }: PlanPolicy): boolean =>
  inside === undefined || (pages === 0 && claim.toMs - claim.fromMs > widestMs);

/** As wide as what failed, what the API refuses to all, and the number of entries allow. */
const widestWindow = (lane: Lane, state: LaneState, progress: SourceProgress, policy: PlanPolicy, gap: Range) => {
  const usually = progress.eventRate && 24 * progress.eventRate.perHour;
  const perDay = lane === 'live' ? usually : (state.entriesPerDay ?? usually);
  const pageEntries = state.entriesPerPage ?? MAX_PAGE_LIMIT;
  // Nothing is known of it: the first page tells.
  const fullMs = perDay === undefined ? DAY_MS : (PAGES_PER_WINDOW * pageEntries * DAY_MS) / perDay;
  const limits = [
    // What is in the way may be wider than any day, and have more entries than pages tell.
    state.besideHole === true ? undefined : fullMs,
    state.widthMs,
    policy.widestMs,
    lane === 'live' ? RECOVERY_MS : undefined,
    progress.largestPage > 0 ? undefined : silenceLimit(progress, gap, policy),
  ];
  return Math.max(NARROWEST_MS, Math.min(...limits.filter((limit) => limit !== undefined)));
};

/**
 * A window that is answered with nothing may have been too wide for the API. So what has no stored entry beside it is
 * read in windows that grow with the silence beside them, and what is found in one is missed in the next one if that is
 * answered with nothing. `silentBesideMs`: read time without entries beside a source that has some.
 */
export const silenceLimit = (
  { coverage, largestPage, lanes: states }: Pick<SourceProgress, 'coverage' | 'largestPage' | 'lanes'>,
  window: Range,
  { shownMs = 0 }: Pick<PlanPolicy, 'shownMs'>,
  silentBesideMs = 0,
): number => {
  // Trouble may be entries that cannot be read.
  const isSilent = largestPage === 0 && !lanes.some((lane) => states[lane]?.trouble !== undefined);
  const beside = isSilent ? (coverage[0] ?? []).filter((range) => touches(range, window)) : [];
  const silentMs = beside.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  return Math.max(DAY_MS, shownMs, SILENCE_GROWTH * silentMs, silentBesideMs);
};

/**
 * What of its claim a walk may count. An API may show only the newest or the oldest part of a wide window, however
 * whole that looks, and of one log alone. So silence counts only as far from the other end of the window as such silence
 * is believed at all: as the window was made by, or, without an entry in the claim, some times what has been read beside
 * it. What is left is asked for by itself.
 */
export const withoutSilence = (walk: Walk, shownMs: number, read: Coverage): Walk | undefined => {
  const { lane, claim, claimEntries, oldestMs, newestMs, silenceMs = DAY_MS } = walk;
  if (lane === 'scrub') return walk;
  const window = requestWindow(walk);
  const beside = read.find(({ fromMs, toMs }) => fromMs <= claim.toMs && toMs > claim.toMs);
  const besideMs = beside === undefined || claimEntries > 0 ? 0 : beside.toMs - claim.toMs;
  const believedMs = Math.max(silenceMs, SILENCE_GROWTH * besideMs);
  if (oldestMs === undefined || newestMs === undefined) {
    return isLookBack(walk) && window.toMs - window.fromMs > Math.max(believedMs, shownMs) ? undefined : walk;
  }
  const believed = newestPart({ ...claim, toMs: window.toMs }, believedMs);
  const fromMs = Math.min(nextFullSecond(oldestMs), believed.fromMs, newestPart(claim, NARROWEST_MS).fromMs);
  // A week of silence is believed behind the newest entry that a look far back has shown.
  const weekMs = newestMs < claim.fromMs + NARROWEST_MS ? Math.min(shownMs, RECOVERY_MS) : 0;
  const silentMs = Math.max(silenceMs, besideMs, weekMs);
  const untilMs = Math.max(Math.floor(newestMs / 1_000) * 1_000, window.fromMs + silentMs);
  const shortMs = SHORT_REST * (window.toMs - window.fromMs);
  const counted = {
    fromMs: fromMs - claim.fromMs > shortMs ? fromMs : claim.fromMs,
    // Of one entry in the middle, the newer side: a stored entry has come at its end.
    toMs: untilMs > fromMs && claim.toMs - untilMs > shortMs ? untilMs : claim.toMs,
  };
  // What a look far back shows nothing of at its newer end, a narrow window is asked for: wide ones may be answered from an older copy.
  if (isLookBack(walk) && window.toMs - newestMs > LOOK_SILENCE_MS) {
    counted.toMs = Math.floor(newestMs / 1_000) * 1_000;
  }
  return isEmpty(counted) ? undefined : { ...walk, claim: counted };
};

/** On whole seconds, so that halving ends at one. */
export const newestPart = ({ fromMs, toMs }: Range, widthMs: number): Range => {
  const partFromMs = Math.ceil((toMs - widthMs) / NARROWEST_MS) * NARROWEST_MS;
  return { fromMs: toMs - fromMs <= widthMs ? fromMs : partFromMs, toMs };
};

/** Coverage ends a second before now, so that the request itself, which asks for a second more, ends at now. */
const newestClaimable = (nowMs: number): number => nowMs - OVERLAP_MS;

const unread = (progress: SourceProgress, nowMs: number, policy: PlanPolicy): Range[] => {
  const endMs = Math.min(newestClaimable(nowMs), policy.untilMs ?? Number.POSITIVE_INFINITY);
  return gapsIn({ fromMs: policy.horizonMs, toMs: endMs }, withHoles(progress, 0));
};

const olderGap = ({ beforeMs }: OlderTurn, progress: SourceProgress, nowMs: number, policy: PlanPolicy) =>
  unread(progress, nowMs, { ...policy, untilMs: Math.min(beforeMs, policy.untilMs ?? beforeMs) }).at(-1);

const withHoles = ({ coverage, holes }: SourceProgress, pass: number): Coverage =>
  holesOfPass(holes, pass).reduce(addRange, coverage[pass] ?? []);

type NextGap = (progress: SourceProgress, nowMs: number, policy: PlanPolicy) => Range | undefined;

const nextGap: Record<Exclude<Lane, 'scrub'>, NextGap> = {
  live: (progress, nowMs, policy) => {
    const gap = unread(progress, nowMs, policy).at(-1);
    if (gap === undefined || gap.toMs < newestClaimable(nowMs)) return undefined;
    if (gap.toMs - gap.fromMs < policy.intervals.liveMs) return undefined;
    if (looksAtAll(gap, progress, policy)) return gap;
    const isFirst = (progress.coverage[0] ?? []).length === 0;
    const firstMs = Math.max(FIRST_LOOK_MS, progress.lanes.live?.widthMs ?? 0);
    const whole = gap.toMs - gap.fromMs <= (isFirst ? firstMs : RECOVERY_MS);
    return { fromMs: whole ? gap.fromMs : gap.toMs - (isFirst ? firstMs : DAY_MS), toMs: gap.toMs };
  },
  backfill: (progress, nowMs, policy) => {
    // The gap that ends at now belongs to the live lane, even while it is too young to be asked for.
    const olderThanMs = policy.untilMs ?? newestClaimable(nowMs) - 1;
    return unread(progress, nowMs, policy)
      .filter((range) => range.toMs <= olderThanMs)
      .at(-1);
  },
  settle: (progress, nowMs, policy) => {
    const sinceMs = againSinceMs(policy);
    for (const [index, delayMs] of policy.settleDelaysMs.entries()) {
      const wanted = { fromMs: sinceMs, toMs: Math.min(nowMs - delayMs, newestClaimable(nowMs)) };
      if (isEmpty(wanted)) continue;
      // In batches: one request settles at least a whole delay's time.
      const { settleMs } = policy.intervals;
      const batchBeforeMs = nowMs - delayMs - Math.max(delayMs, settleMs);
      // But before it leaves the horizon: of a history that is hardly longer than the delay there never is a whole one.
      const leavingBeforeMs = Math.min(sinceMs + settleMs, nowMs - delayMs - settleMs);
      const oldestPartBeforeMs = Math.max(batchBeforeMs, leavingBeforeMs);
      const gap = gapsAmong(wanted, withHoles(progress, index + 1), progress.coverage[0] ?? [])
        .filter((range) => range.fromMs <= oldestPartBeforeMs)
        .at(-1);
      if (gap !== undefined) return gap;
    }
    return undefined;
  },
};

/** How often, at most, one source is asked in a lane. Milliseconds; 0: whenever there is something. */
export interface LaneIntervals {
  /** If all are polled equally often. What each source gets of it is up to poll-interval.ts. */
  readonly liveMs: number;
  readonly settleMs: number;
}

const BUDGET_WINDOW_MS = 300_000;
/** What both leave is for history, the listing and profiles: nothing may starve. */
const LIVE_SHARE = 0.7;
const SETTLE_SHARE = 0.15;

/**
 * Polling many organizations at every tick would take more than the budget, and nothing else would be read: so each
 * lane has its share of it, and every source its turn. By default the live tail of 25 may be polled every 12 s, of
 * 5,000 every 40 minutes.
 */
export const laneIntervals = (sources: number, requestsPerWindow: number): LaneIntervals => {
  const wholeMs = (sources * BUDGET_WINDOW_MS) / requestsPerWindow;
  return { liveMs: Math.floor(wholeMs / LIVE_SHARE), settleMs: Math.floor(wholeMs / SETTLE_SHARE) };
};

export const noIntervals: LaneIntervals = { liveMs: 0, settleMs: 0 };

/** Horizons are full seconds: one that follows time may be so much ahead of it. */
const HORIZON_STEP_MS = 1_000;

type IdleUntil = (progress: SourceProgress, nowMs: number, policy: PlanPolicy) => number;

/** Before this time `planLane` gives nothing for the lane, unless the source changes. A horizon that moves, no faster
 * than time, may make it later; what `policy` says of pauses, sooner by as much as they differ. */
export const idleUntilMs = (
  lane: Exclude<Lane, 'live'>,
  progress: SourceProgress,
  nowMs: number,
  policy: PlanPolicy,
): number => {
  // An open walk goes on, unless its window is too wide for now.
  if (progress.lanes[lane]?.walk !== undefined || policy.untilMs !== undefined) return nowMs;
  return idleUntil[lane](progress, nowMs, policy);
};

const everAfter = (fromMs: number) => ({ fromMs, toMs: Number.POSITIVE_INFINITY });

const idleUntil: Record<Exclude<Lane, 'live'>, IdleUntil> = {
  settle: (progress, nowMs, policy) => {
    const { settleDelaysMs, intervals } = policy;
    const { settleMs } = intervals;
    const horizonMs = againSinceMs(policy);
    const times = settleDelaysMs.map((delayMs, index) => {
      const [gap] = gapsAmong(everAfter(horizonMs), withHoles(progress, index + 1), progress.coverage[0] ?? []);
      if (gap === undefined) return Number.POSITIVE_INFINITY;
      const asBatchMs = gap.fromMs + delayMs + Math.max(delayMs, settleMs);
      const outsideMs = gap.fromMs - settleMs - horizonMs;
      const reachedMs = outsideMs <= 0 ? nowMs : nowMs + outsideMs - HORIZON_STEP_MS;
      return Math.min(asBatchMs, Math.max(gap.fromMs + delayMs + Math.max(settleMs, 1), reachedMs));
    });
    return Math.min(...times);
  },
  backfill: (progress, _nowMs, { horizonMs }) => {
    const [first, ...others] = gapsIn(everAfter(horizonMs), withHoles(progress, 0));
    const { older } = progress.lanes.backfill ?? {};
    if (first === undefined) return Number.POSITIVE_INFINITY;
    // Between two ranges; the last one, without an end, is of the live lane.
    const asGapMs = others.length > 0 ? first.toMs + OVERLAP_MS + 1 : Number.POSITIVE_INFINITY;
    const asOlderMs = older?.due && first.fromMs < older.beforeMs ? first.fromMs + OVERLAP_MS + 1 : asGapMs;
    return Math.min(asGapMs, asOlderMs);
  },
  scrub: (progress, nowMs, policy) =>
    policy.scrub === undefined
      ? Number.POSITIVE_INFINITY
      : scrubIdleUntilMs(scrubFacts(progress), nowMs, { horizonMs: againSinceMs(policy), ...policy.scrub }),
};
