import type { Pool } from 'pg';
import { readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import type { FoundEvent, SearchPage } from '../found-event.ts';
import type { SearchCursor } from '../search-cursor.ts';
import { type AskedPage, explained } from '../search-events.sql.ts';
import { instantOf } from './archived-columns.ts';
import { archivedConditions } from './archived-conditions.ts';
import { readArchivedMonths } from './archived-months.sql.ts';
import { endBefore, type PageBounds, type PickedRow, pickRows } from './archived-page.ts';
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
  const deadlineMs = performance.now() + totalMs;
  const isBeyond = direction === 'older' && asked.cursor !== undefined && bounds.cursor === undefined;
  const match = createMatcher(parts, { conditions: archivedConditions(query), isChanged: query.changed });
  const picked = await pickRows(parts.months, isBeyond ? [] : await readArchivedMonths(parts.pool, query), bounds, {
    match,
    most: asked.limit + 1,
    isOver: () => performance.now() > deadlineMs,
    signal: asked.signal,
  });
  const cold: PagePart<FoundEvent | PickedRow> = {
    items: picked.rows.map((row) => ({ value: row, place: row })),
    end: endOfCold(picked, asked.limit, direction),
  };
  const merged = mergeParts([hotPart(hot, direction), cold], { direction, limit: asked.limit });
  const events = await found(parts, merged.items, asked.signal);
  const isWhole = events.length === merged.items.length;
  const reached =
    isWhole && merged.reached !== undefined ? cursorAt(merged.reached, direction, asked.cursor) : undefined;
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

const endOfCold = (
  { rows, reached }: Awaited<ReturnType<typeof pickRows>>,
  limit: number,
  direction: SearchCursor['direction'],
): Place | undefined => {
  if (rows.length > limit) return rows.at(-1);
  if (reached === undefined) return undefined;
  return endBefore(reached, direction);
};

/** Never in front of where the page began. */
const cursorAt = (
  place: Place,
  direction: SearchCursor['direction'],
  begun: SearchCursor | undefined,
): SearchCursor => {
  if (begun !== undefined && orderOf(direction)(place, placeOf(begun)) < 0) return begun;
  const written = place.time === undefined ? '-infinity' : `${instantOf(place.time).slice(0, -1).replace('T', ' ')}+00`;
  return { direction, time: place.text ?? written, position: place.position };
};

/** The events of a page in its order, as far as their texts fit. */
const found = async (
  parts: ArchivedParts,
  items: readonly { readonly value: FoundEvent | PickedRow }[],
  signal: AbortSignal | undefined,
): Promise<FoundEvent[]> => {
  const picked = items.flatMap(({ value }) => ('group' in value ? [value] : []));
  const read = await readFoundRows(parts, picked, MAX_PAGE_BYTES, signal);
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
    untilPosition,
    organization,
  };
};
