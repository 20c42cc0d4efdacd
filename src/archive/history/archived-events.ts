import type { ArchivedEvent, ArchivedEvents, RowLimits } from '../../feed/archived/ports.ts';
import type { FeedRange } from '../../feed/feed.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { GroupPlace } from '../parquet/row-groups.ts';
import type { ObjectStore } from '../store/ports.ts';
import { type CopySource, firstCopiesOf } from './first-copies.ts';
import type { FilterColumns } from './group-columns.ts';
import {
  countHistoryObjects,
  type HistoryObject,
  readHistoryObjects,
  readObjectsOfMonth,
} from './history-objects.sql.ts';
import { createGroups } from './kept-groups.ts';
import { createObjectRanges } from './object-ranges.ts';
import { eventsOf, rowsOf } from './wanted-rows.ts';

/** Serves what was dropped from its objects, by the catalogue in the database. Closing it closes the store. */
export const createArchivedEvents = (pool: Pool, store: ObjectStore): ArchivedEvents => {
  const groups = createGroups(createObjectRanges(pool, store));
  const copies: CopySource = {
    userRows: groups.userRows,
    groupsOf: async (object) => (await groups.footer(object)).groups,
    objectsOfMonth: (month, upTo) => readObjectsOfMonth(pool, month, upTo),
  };
  const firsts = (
    at: { object: HistoryObject; place: GroupPlace },
    columns: FilterColumns,
    rows: number[],
    range: FeedRange,
  ) => (range.copies === 'first' ? onlyFirsts(copies, at, columns, rows, range) : rows);
  return {
    read: async (range, limits, signal) => {
      const { until, objects } = await readHistoryObjects(pool, range);
      const picked = new Picked<ArchivedEvent>(until, limits, ({ raw }) => raw.length);
      await eachGroup(groups, objects, range.after, picked, signal, async (object, place) => {
        const columns = await groups.events(object, place, signal);
        const rows = await firsts({ object, place }, columns, rowsOf(columns, range, picked.until), range);
        picked.add(eventsOf(columns, rows, limits));
      });
      const count = objects.filter(({ firstPosition }) => firstPosition <= picked.until).length;
      return { until: picked.until, events: picked.items, objects: count };
    },
    positions: async (range, maxEvents, signal) => {
      const { until, objects } = await readHistoryObjects(pool, range);
      const limits = { maxEvents, maxBytes: Number.POSITIVE_INFINITY };
      const picked = new Picked<{ readonly position: number }>(until, limits, () => 0);
      await eachGroup(groups, objects, range.after, picked, signal, async (object, place) => {
        const columns = await groups.positions(object, place, signal);
        const rows = await firsts({ object, place }, columns, rowsOf(columns, range, picked.until), range);
        picked.add(rows.map((row) => ({ position: Number(columns.position[row]) })));
      });
      return { until: picked.until, positions: picked.items.map(({ position }) => position) };
    },
    countObjects: (after, until) => countHistoryObjects(pool, after, until),
    close: () => store.close(),
  };
};

const onlyFirsts = async (
  copies: CopySource,
  at: { readonly object: HistoryObject; readonly place: GroupPlace },
  { position }: FilterColumns,
  rows: readonly number[],
  range: FeedRange,
): Promise<number[]> => {
  const positionOf = (row: number) => Number(position[row]);
  const firsts = await firstCopiesOf(copies, at, rows.map(positionOf), range);
  return rows.filter((row) => firsts.has(positionOf(row)));
};

/** Visits the groups that may have what is wanted, as long as what was picked does not end in front of them. */
const eachGroup = async (
  groups: Pick<ReturnType<typeof createGroups>, 'footer'>,
  objects: readonly HistoryObject[],
  after: number,
  picked: { readonly until: number },
  signal: AbortSignal | undefined,
  visit: (object: HistoryObject, place: GroupPlace) => Promise<void>,
): Promise<void> => {
  for (const object of objects) {
    if (object.firstPosition > picked.until) return;
    if (!object.isWanted) continue;
    for (const place of (await groups.footer(object)).groups) {
      signal?.throwIfAborted();
      if (place.firstPosition > picked.until) break;
      if (place.lastPosition > after) await visit(object, place);
    }
  }
};

/** The first items by position that fit; `until` comes down as soon as they do not all. */
class Picked<T extends { readonly position: number }> {
  until: number;
  items: T[] = [];
  readonly #limits: RowLimits;
  readonly #weigh: (item: T) => number;

  constructor(until: number, limits: RowLimits, weigh: (item: T) => number) {
    this.until = until;
    this.#limits = limits;
    this.#weigh = weigh;
  }

  add(more: readonly T[]): void {
    if (more.length === 0) return;
    // Months overlap in positions.
    const all = [...this.items, ...more].sort((a, b) => a.position - b.position);
    let bytes = 0;
    const end = all.findIndex((item, index) => {
      bytes += this.#weigh(item);
      return index > 0 && (index >= this.#limits.maxEvents || bytes > this.#limits.maxBytes);
    });
    this.items = end === -1 ? all : all.slice(0, end);
    if (this.items.length >= this.#limits.maxEvents || end !== -1)
      this.until = this.items.at(-1)?.position ?? this.until;
  }
}
