import type { Pool } from 'pg';
import { readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import type { FoundEvent, SearchPage } from '../found-event.ts';
import type { SearchCursor } from '../search-cursor.ts';
import { type AskedPage, explained } from '../search-events.sql.ts';
import { instantOf } from './archived-columns.ts';
import { archivedConditions } from './archived-conditions.ts';
import { readArchivedMonths } from './archived-months.sql.ts';
import { type PageBounds, type PickedPage, type PickedRow, pickRows } from './archived-page.ts';
import { readFoundRows } from './found-rows.sql.ts';
import { createMatcher, type MatchMemory } from './matching-rows.ts';
import { mergeParts, orderOf, type PagePart, type Place, placeOf } from './merge-pages.ts';
import type { ArchivedMonths } from './ports.ts';

export interface ArchivedParts {
  readonly pool: Pool;
  readonly months: ArchivedMonths;
  readonly memory: MatchMemory;
  /** For the archive's part of each page; undefined: as long as the kind of reader has. */
  readonly limitMs?: number;
}

const TIMEOUT_MS = 3_000;
/** Of the time of a page; the rest is for reading what it shows. */
const LOOKING_SHARE = 0.8;
/** Texts of archived events that are in memory for a page, but for a single larger one. */
const MAX_PAGE_BYTES = 16 * 1_048_576;

/**
 * A page of a search in the database, which was read before, joined with what the archive has: in the same order, with the same cursors. What
 * was dropped meanwhile is in the archive, so nothing is left out.
 */
export const withArchive = async (
  parts: ArchivedParts,
  query: EventQuery,
  asked: AskedPage,
  hot: SearchPage,
  totalMs: number,
): Promise<SearchPage> => {
  const direction = asked.cursor?.direction ?? 'older';
  const bounds = await boundsOf(parts.pool, query, asked.cursor);
  const beganMs = performance.now();
  const isOver = (share: number) => performance.now() > beganMs + totalMs * share;
  const isBeyond = direction === 'older' && asked.cursor !== undefined && placeOf(asked.cursor).time === undefined;
  const matcher = createMatcher(parts, { conditions: archivedConditions(query), isChanged: query.changed });
  const picked = await pickRows(parts.months, isBeyond ? [] : await readArchivedMonths(parts.pool, query), bounds, {
    matcher,
    most: asked.limit + 1,
    isOver: () => isOver(LOOKING_SHARE),
    signal: asked.signal,
  });
  const cold: PagePart<FoundEvent | PickedRow> = {
    items: picked.rows.map((row) => ({ value: row, place: row })),
    end: picked.rows.length > asked.limit ? picked.rows.at(-1) : picked.reached,
  };
  const merged = mergeParts([hotPart(hot, direction), cold], { direction, limit: asked.limit });
  const events = await found(parts, merged.items, { signal: asked.signal, isOver: () => isOver(1) });
  const isWhole = events.length === merged.items.length;
  const reached =
    isWhole && merged.reached !== undefined ? cursorAt(merged.reached, direction, asked.cursor, picked) : undefined;
  if (direction === 'newer') events.reverse();
  return { events, more: merged.more || !isWhole, reached, archivedMonths: [...picked.months].sort() };
};

const hotPart = (
  { events, more, reached }: SearchPage,
  direction: SearchCursor['direction'],
): PagePart<FoundEvent | PickedRow> => {
  const items = events.map((event) => ({
    value: event,
    place: placeOf({ time: event.sortTime, position: event.position }),
  }));
  if (direction === 'newer') items.reverse();
  return { items, end: reached === undefined ? (more ? items.at(-1)?.place : undefined) : placeOf(reached) };
};

/** Never in front of where the page began, with what is known of the groups that were looked at. */
const cursorAt = (
  place: Place,
  direction: SearchCursor['direction'],
  begun: SearchCursor | undefined,
  { known: print }: PickedPage,
): SearchCursor => {
  if (begun !== undefined && orderOf(direction)(place, placeOf(begun)) < 0) return begun;
  const known = place.time === undefined ? undefined : print?.({ time: place.time, position: place.position });
  const written = place.time === undefined ? '-infinity' : `${instantOf(place.time).slice(0, -1).replace('T', ' ')}+00`;
  return { direction, time: place.text ?? written, position: place.position, ...(known !== undefined && { known }) };
};

/** The events of a page in its order, as far as their texts fit and there is time: one at least. */
const found = async (
  parts: ArchivedParts,
  items: readonly { readonly value: FoundEvent | PickedRow }[],
  reading: { readonly signal: AbortSignal | undefined; readonly isOver: () => boolean },
): Promise<FoundEvent[]> => {
  const picked = items.flatMap(({ value }) => ('group' in value ? [value] : []));
  const read = await readFoundRows(parts, picked, { maxBytes: MAX_PAGE_BYTES, ...reading });
  const byPosition = new Map(read.map(({ event }) => [event.position, event]));
  const events: FoundEvent[] = [];
  for (const { value } of items) {
    const event = 'group' in value ? byPosition.get(value.position) : value;
    if (event === undefined) break;
    events.push(event);
  }
  return events;
};

/** Times are made out by PostgreSQL, as those of a search in the database. */
const boundsOf = async (
  pool: Pool,
  { since, before, organization, untilPosition }: EventQuery,
  cursor: SearchCursor | undefined,
): Promise<PageBounds> => {
  const microseconds = (n: number) => `(extract(epoch from $${n}::timestamptz) * 1000000)::bigint::text`;
  const { rows } = await readOnly(pool, TIMEOUT_MS, (client) =>
    client.query<{ since: string | null; before: string | null }>(
      `select ${microseconds(1)} as since, ${microseconds(2)} as before`,
      [since ?? null, before ?? null],
    ),
  ).catch(explained);
  const number = (text: string | null | undefined) => (text === null || text === undefined ? undefined : BigInt(text));
  const place = cursor && placeOf(cursor);
  return {
    direction: cursor?.direction ?? 'older',
    since: number(rows[0]?.since),
    before: number(rows[0]?.before),
    cursor: place?.time === undefined ? undefined : { time: place.time, position: place.position },
    known: cursor?.known,
    untilPosition,
    organization,
  };
};
