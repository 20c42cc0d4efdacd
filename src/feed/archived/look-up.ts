import {
  checkOfEvent,
  FILTERED_SCAN_POSITIONS,
  isDense,
  readMissedEvents,
  readPositionCheck,
  readPositions,
} from '../feed.sql.ts';
import type { FeedRange, PositionLookup } from '../feed.ts';
import { eventOf } from '../feed-row.ts';
import { ArchivedRow } from './archived-row.ts';
import { type BothParts, beforeNextOf } from './merged-rows.ts';

/** What is asked about positions, with those in the archive. */
export const lookUpAll = (parts: BothParts): PositionLookup => ({
  checkOf: async (position) =>
    (await readPositionCheck(parts.pool, position)) ?? (await checkOfArchived(parts, position)),
  endOf: (range, limit) => positionOfNth(parts, range, limit),
  hasEvents: async (range) => (await nthPosition(parts, range, 1)) !== undefined,
  missedBehind: async (position, knownDrop) => {
    const missed = await readMissedEvents(parts.pool, position, knownDrop, { hasArchive: true });
    if (missed === undefined) return undefined;
    const range = { after: position, until: missed.firstPosition ?? missed.until, organizationIds: undefined };
    return { ...missed, firstPosition: (await nthPosition(parts, range, 1)) ?? missed.firstPosition };
  },
});

const checkOfArchived = async ({ pool, archived }: BothParts, position: number): Promise<string | undefined> => {
  if (position === 0) return undefined;
  const range = { after: position - 1, until: position, organizationIds: undefined };
  const [event] = (await archived.read(range, { maxEvents: 1, maxBytes: 1 })).events;
  if (event === undefined) return undefined;
  const context = { feedId: '', organizationNames: new Map<string, null>() };
  return await checkOfEvent(pool, eventOf(new ArchivedRow().of(event), context));
};

const positionOfNth = async (parts: BothParts, range: FeedRange, nth: number): Promise<number> =>
  (await isDense(parts.pool, range, { hasArchive: true }))
    ? Math.min(range.until, range.after + nth)
    : ((await nthPosition(parts, range, nth)) ?? range.until);

/** The position of the `nth` event; undefined: the range has fewer. */
const nthPosition = async (parts: BothParts, range: FeedRange, nth: number): Promise<number | undefined> => {
  const { pool, archived } = parts;
  let [from, wanted] = [range.after, nth];
  while (from < range.until) {
    const most = Math.min(wanted, FILTERED_SCAN_POSITIONS);
    const until = Math.min(range.until, from + FILTERED_SCAN_POSITIONS);
    const cold = await archived.positions({ ...range, after: from, until }, most);
    const hot = await readPositions(pool, { ...range, after: from, until: cold.until }, most);
    const found = [...new Set([...cold.positions, ...hot])].sort((a, b) => a - b);
    if (found.length >= wanted) return found[wanted - 1];
    wanted -= found.length;
    from = found.length === 0 ? await beforeNextOf(parts, cold.until, range.until) : cold.until;
  }
  return undefined;
};
