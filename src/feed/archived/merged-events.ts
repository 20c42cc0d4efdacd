import type { FeedEvent } from '../../formats/feed-event.ts';
import { FILTERED_SCAN_POSITIONS, readOrganizationNames, readTimeLimit } from '../feed.sql.ts';
import { type FeedEvents, type FeedEventsRange, readFeedEvents } from '../feed-events.sql.ts';
import { eventOf } from '../feed-row.ts';
import { readFeedHead } from '../head/feed-head.sql.ts';
import { ArchivedRow } from './archived-row.ts';
import { type BothParts, beforeNextOf } from './merged-rows.ts';
import type { ArchivedEvent } from './ports.ts';

/** As `readFeedEvents`, of events in the database and in the archive, which are mixed in order of position. Used by the sinks. */
export const readMergedEvents = async (parts: BothParts, range: FeedEventsRange): Promise<FeedEvents> => {
  const { pool, archived } = parts;
  const { after } = range;
  // As it is for every sink that is not set back.
  if ((await archived.countObjects(after, Number.MAX_SAFE_INTEGER)) === 0) return await readFeedEvents(pool, range);
  const head = await readFeedHead(pool);
  const until = Math.min(range.until ?? head.position, head.position);
  if (until <= after) return { events: [], scannedTo: after, isFull: false, waitedMs: 0, tooOld: 0 };
  const scanned = Math.min(until, (await beforeNextOf(parts, after, until)) + FILTERED_SCAN_POSITIONS);
  const stretch = await archived.read({ ...range, until: scanned }, range);
  const hot = await readFeedEvents(pool, { ...range, until: stretch.until });
  // What was dropped after the archive had been asked is in neither part.
  if ((await archived.countObjects(after, stretch.until)) !== stretch.objects)
    return await readMergedEvents(parts, range);
  const end = Math.min(stretch.until, hot.scannedTo);
  const { young, tooOld } = await byAge(
    parts,
    stretch.events.filter(({ position }) => position <= end),
    range.maxAgeMs,
  );
  const cold = young.length === 0 ? [] : await eventsOf(parts, young, head.feedId);
  const all = [...hot.events, ...cold].sort((a, b) => a.position - b.position);
  const fitting = countFitting(all, range);
  const last = all[fitting - 1]?.position ?? end;
  // Once more up to there: what is too old is counted up to the end.
  if (fitting < all.length) return { ...(await readMergedEvents(parts, { ...range, until: last })), isFull: true };
  return {
    events: all,
    scannedTo: end,
    isFull: hot.isFull || stretch.until < scanned,
    waitedMs: Math.max(hot.waitedMs, waitedOf(cold[0])),
    tooOld: hot.tooOld + tooOld,
  };
};

const byAge = async ({ pool }: BothParts, events: readonly ArchivedEvent[], maxAgeMs: number | undefined) => {
  if (maxAgeMs === undefined || events.length === 0) return { young: events, tooOld: 0 };
  const limit = await readTimeLimit(pool, maxAgeMs);
  const young = events.filter(({ actionTime }) => actionTime >= limit);
  return { young, tooOld: events.length - young.length };
};

const eventsOf = async (
  { pool }: BothParts,
  events: readonly ArchivedEvent[],
  feedId: string,
): Promise<FeedEvent[]> => {
  const context = { feedId, organizationNames: await readOrganizationNames(pool) };
  const row = new ArchivedRow();
  return events.map((event) => eventOf(row.of(event), context));
};

/** How many of the first ones fit; at least one. */
const countFitting = (events: readonly FeedEvent[], { maxEvents, maxBytes }: FeedEventsRange): number => {
  let bytes = 0;
  const end = events.findIndex(({ rawText }, index) => {
    bytes += Buffer.byteLength(rawText);
    return index > 0 && (index >= maxEvents || bytes > maxBytes);
  });
  return end === -1 ? events.length : end;
};

const waitedOf = (event: FeedEvent | undefined): number =>
  event === undefined ? 0 : Math.max(0, Date.now() - Date.parse(event.receivedAt));
