import { type Coverage, gapsIn, isEmpty, type Range } from './coverage.ts';
import type { KnownHole } from './lane.ts';
import { WIDEST_SCRUB_MS } from './scrub.ts';
import { NARROW_OVERLAP_MS, OVERLAP_MS, type Sentinel, type Walk } from './walk.ts';

/** Why a second is a hole whose answers end before an entry that is known. It can be asked for: what is beside it may reach over it. */
export const SHORT_ANSWER = 'short_answer';
/** Cloudflare may delete what is as near to the horizon while it is waited for. */
export const RETENTION_MARGIN_MS = 3_600_000;

/**
 * Where to look for a sentinel: a stored entry just beyond the end of the claim that the walk reads last. An answer that ends without it was cut
 * short, however whole it looks. No further away than the claim is wide, not over a hole, and nothing that Cloudflare may delete
 * meanwhile. Undefined if the walk can have none: what the live lane reads last is the newest time of all, and next to a hole it asks for as
 * little as may be.
 */
export const sentinelRange = (
  { lane, claim, direction, overlapMs }: Walk,
  {
    nowMs,
    horizonMs,
    holes,
    read,
  }: {
    readonly nowMs: number;
    readonly horizonMs: number;
    readonly holes: readonly KnownHole[];
    /** Of the first reading. */
    readonly read: Coverage;
  },
): Range | undefined => {
  if (lane === 'live' || overlapMs === NARROW_OVERLAP_MS) return undefined;
  const reachMs = claim.toMs - claim.fromMs;
  const isAscending = direction === 'asc';
  const beside = isAscending
    ? { fromMs: claim.toMs, toMs: Math.min(claim.toMs + reachMs, nowMs - OVERLAP_MS) }
    : { fromMs: Math.max(claim.fromMs - reachMs, claim.toMs - WIDEST_SCRUB_MS), toMs: claim.fromMs };
  const inTheWay = holes.filter(({ reason }) => reason !== SHORT_ANSWER).map(({ range }) => range);
  const free = gapsIn(beside, inTheWay).find(({ fromMs, toMs }) =>
    isAscending ? fromMs === beside.fromMs : toMs === beside.toMs,
  );
  // Behind time that is not read, other entries may come first.
  const readToMs = read.find(({ fromMs, toMs }) => fromMs <= claim.toMs && toMs > claim.toMs)?.toMs;
  if (isAscending && readToMs === undefined) return undefined;
  const kept = free && {
    fromMs: Math.max(free.fromMs, horizonMs + RETENTION_MARGIN_MS),
    toMs: isAscending ? Math.min(free.toMs, readToMs ?? free.toMs) : free.toMs,
  };
  return kept === undefined || isEmpty(kept) ? undefined : kept;
};

/**
 * The walk with a request that reaches over this stored entry. `limited`: wider windows are refused, so that the claim makes room for it.
 */
export const withSentinel = (walk: Walk, sentinel: Sentinel, limited: boolean): Walk => {
  const { claim, direction, lookbackMs } = walk;
  if (direction === 'asc') {
    const moreMs = sentinel.timeMs - claim.toMs;
    const roomMs = limited ? Math.min(moreMs, (claim.toMs - claim.fromMs) / 2) : 0;
    const fromMs = claim.fromMs + Math.floor(roomMs / 1_000) * 1_000;
    return { ...walk, claim: { ...claim, fromMs }, overlapMs: moreMs + OVERLAP_MS, sentinel };
  }
  return { ...walk, lookbackMs: Math.max(lookbackMs, claim.fromMs - sentinel.timeMs + OVERLAP_MS), sentinel };
};
