import type { Pool } from 'pg';
import { readFeedHead } from '../../feed/feed-head.sql.ts';
import { readOnly } from '../../postgres/queries.ts';
import type { EventDetail, FoundEvent, SearchPage } from '../answer.ts';
import { readArchivedMonths } from '../archived-months.sql.ts';
import type { EventQuery } from '../query/event-query.ts';
import type { SearchCursor } from '../query/search.ts';
import {
  type AskedPage,
  explained,
  type FoundRow,
  foundColumns,
  readNeighbours,
  toFoundEvent,
} from '../search-events.sql.ts';
import {
  type ArchivedColumn,
  type ArchivedMonths,
  archivedColumnNames,
  archivedConditions,
  declared,
  instantOf,
  jsonOf,
  textOf,
} from './archived-columns.ts';
import {
  mergeParts,
  orderOf,
  type PageBounds,
  type PagePart,
  type PickedPage,
  type PickedRow,
  type Place,
  pickRows,
  placeOf,
} from './archived-page.ts';
import { createMatcher, type MatchMemory } from './filter-rows.sql.ts';

export interface ArchivedParts {
  readonly pool: Pool;
  readonly months: ArchivedMonths;
  readonly memory: MatchMemory;
  /** For the archive's part of a page; undefined: as the kind of reader has it. */
  readonly limitMs?: number;
}

const RANGES_TIMEOUT_MS = 3_000;
/** Of the time of a page; the rest is for reading what the page shows. */
const LOOKING_SHARE = 0.8;
/** Texts in memory for a page, except for a single larger one. */
const MAX_PAGE_BYTES = 16 * 1_048_576;

/** A page of a search in the database joined with what the archive has, in one order. What was dropped meanwhile is in the archive. */
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

/** Never in front of where the page began. */
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

/** In the order of the page, as far as their texts fit and there is time: one at least. */
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

/** PostgreSQL makes the times out, as it does for a search in the database. */
const boundsOf = async (
  pool: Pool,
  { since, before, organization, untilPosition }: EventQuery,
  cursor: SearchCursor | undefined,
): Promise<PageBounds> => {
  const microseconds = (n: number) => `(extract(epoch from $${n}::timestamptz) * 1000000)::bigint::text`;
  const { rows } = await readOnly(pool, RANGES_TIMEOUT_MS, (client) =>
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

const MAX_CHANGES = 20;

/** With its later contents. Copies in other logs are not looked for, and its neighbours are those in the database. */
export const readArchivedEvent = async (
  { pool, months }: Pick<ArchivedParts, 'pool' | 'months'>,
  position: number,
): Promise<EventDetail | undefined> => {
  for (const group of await months.groupsAt(position)) {
    const { position: positions } = await group.columns(['position']);
    const row = Array.from(positions, Number).indexOf(position);
    if (row === -1) continue;
    const picked = { group, row, time: group.firstTime, position };
    const [found] = await readFoundRows({ pool, months }, [picked], {
      maxBytes: Number.POSITIVE_INFINITY,
      signal: undefined,
    });
    if (found === undefined) continue;
    const changes = found.event.changed ? await months.changesOf(group.month, position) : [];
    return {
      ...found,
      feedId: (await readFeedHead(pool)).feedId,
      changes: changes.slice(0, MAX_CHANGES).map(({ seenAt, rawText }) => ({ seenAt: instantOf(seenAt), rawText })),
      changesInAll: changes.length,
      copies: [],
      copiesInAll: 0,
      copyNumber: 0,
      ...(await readNeighbours(pool, position)),
    };
  }
  return undefined;
};

const texts = new WeakMap<FoundEvent, string>();

/** To the byte of the entry; undefined for an event of the database. */
export const archivedTextOf = (event: FoundEvent): string | undefined => texts.get(event);

const ROWS_TIMEOUT_MS = 10_000;
const plainColumns = archivedColumnNames.filter((name) => name !== 'raw');

/** In the order of the rows; fewer, but one, if their texts would take more than `maxBytes` together or the time is over. */
const readFoundRows = async (
  { pool, months }: { readonly pool: Pool; readonly months: ArchivedMonths },
  picked: readonly PickedRow[],
  reading: { readonly maxBytes: number; readonly isOver?: () => boolean; readonly signal: AbortSignal | undefined },
) => {
  const { maxBytes, isOver, signal } = reading;
  const { read, isWhole } = await readColumnsOf(picked, isOver, signal);
  const changed = new Map<string, ReadonlySet<number>>();
  for (const { group } of picked)
    if (!changed.has(group.month)) changed.set(group.month, await months.changed(group.month));
  const fitting: { readonly row: ArchivedRow; readonly raw: string; readonly bytes: number }[] = [];
  let bytes = 0;
  for (const { position, group } of picked) {
    const one = read.get(position);
    if (one === undefined && !isWhole) break;
    if (one === undefined) throw new Error(`the archive gave no event ${position}`);
    bytes += one.bytes;
    if (bytes > maxBytes && fitting.length > 0) break;
    const hasChanged = changed.get(group.month)?.has(position) ?? false;
    // PostgreSQL looks into the text of a batch alone.
    const raw = isBatch(one.row) ? one.raw : null;
    fitting.push({ ...one, row: { ...one.row, raw, has_changed: hasChanged } });
  }
  const rows = await foundRowsOf(pool, fitting, signal);
  return rows.map((row, n) => {
    const event = { ...toFoundEvent(row), rawBytes: fitting[n]?.bytes ?? 0 };
    const rawText = fitting[n]?.raw ?? '';
    texts.set(event, rawText);
    return { event, rawText };
  });
};

type ArchivedRow = Readonly<Record<string, unknown>>;

const isBatch = (row: ArchivedRow): boolean => String(row['raw_uri']).includes('/batch');

/** Group by group: only one is in memory. The first is always read. */
const readColumnsOf = async (
  picked: readonly PickedRow[],
  isOver: (() => boolean) | undefined,
  signal: AbortSignal | undefined,
) => {
  const groups = Map.groupBy(picked, ({ group }) => group.name);
  const read = new Map<number, { row: ArchivedRow; raw: string; bytes: number }>();
  for (const rows of groups.values()) {
    const [first] = rows;
    if (first === undefined) continue;
    if (read.size > 0 && isOver?.() === true) return { read, isWhole: false };
    const inOrder = rows.toSorted((a, b) => a.row - b.row);
    const columns = await first.group.columnsOfRows<ArchivedColumn>(
      archivedColumnNames,
      inOrder.map(({ row }) => row),
      signal,
    );
    for (const [n, { position }] of inOrder.entries()) {
      const raw = columns.raw[n] as Uint8Array;
      const values = plainColumns.map((name) => [name, jsonOf(name, columns[name][n])]);
      read.set(position, { row: Object.fromEntries(values), raw: textOf(raw) ?? '', bytes: raw.length });
    }
  }
  return { read, isWhole: true };
};

/** By the columns of a search in the database, from tables with the same names. */
const foundRowsOf = async (
  pool: Pool,
  fitting: readonly { readonly row: object }[],
  signal: AbortSignal | undefined,
): Promise<readonly FoundRow[]> => {
  if (fitting.length === 0) return [];
  const statement = `with archived as (select * from json_to_recordset($1::json) as (${declared(archivedColumnNames)}, has_changed boolean, place integer)),
      audit_events as (select * from archived),
      audit_event_changes as (select source_kind, source_id, id as event_id from archived where has_changed)
    select ${foundColumns} from audit_events e left join organizations o on o.id = e.organization_id order by e.place`;
  const lines = fitting.map(({ row }, place) => JSON.stringify({ ...row, place }));
  const found = await readOnly(
    pool,
    ROWS_TIMEOUT_MS,
    (client) => client.query<FoundRow>(statement, [`[${lines.join(',')}]`]),
    signal,
  );
  return found.rows;
};
