import { BusyError } from '../../base/errors.ts';
import { ConcurrencyLimit } from '../../base/limits.ts';
import type { ArchivedEvent, ArchivedEvents, FeedRange, RowLimits } from '../../feed/feed.ts';
import type { Pool } from '../../postgres/pool.ts';
import { defectsOf, textOf } from '../columns.ts';
import {
  type GroupColumns,
  type GroupPlace,
  type ParquetFooter,
  readColumns,
  readFooter,
} from '../parquet/row-groups.ts';
import type { ObjectStore } from '../store.ts';
import {
  type HistoryObject,
  readHistoryObjects,
  readObjectsOfMonth,
  sumHistoryObjects,
} from './history-objects.sql.ts';
import { createObjectRanges, type ObjectRanges, RecentlyUsed } from './object-ranges.ts';

/** Serves what was dropped, by the catalogue in the database. Closing it closes the store. */
export const createArchivedEvents = (pool: Pool, store: ObjectStore): ArchivedEvents => {
  const groups = createGroups(createObjectRanges(pool, store));
  const copies = {
    userRows: groups.userRows,
    groupsOf: async (object: HistoryObject) => (await groups.footer(object)).groups,
    objectsOfMonth: (month: string, upTo: number) => readObjectsOfMonth(pool, month, upTo),
  };
  const wanted = async (at: GroupAt, columns: FilterColumns, range: FeedRange, until: number): Promise<number[]> => {
    const rows = rowsOf(columns, range, until);
    if (range.copies !== 'first') return rows;
    const positionOf = (row: number) => Number(columns.position[row]);
    const firsts = await firstCopiesOf(copies, at, rows.map(positionOf), range);
    return rows.filter((row) => firsts.has(positionOf(row)));
  };
  return {
    read: async (range, limits, signal) => {
      const { until, objects } = await readHistoryObjects(pool, range);
      const picked = new Picked<ArchivedEvent>(until, limits, ({ raw }) => raw.length);
      await eachGroup(groups, objects, range.after, picked, signal, async (object, place) => {
        const columns = await groups.events(object, place, signal);
        picked.add(eventsOf(columns, await wanted({ object, place }, columns, range, picked.until), limits));
      });
      const read = objects.filter(({ firstPosition }) => firstPosition <= picked.until);
      return { until: picked.until, events: picked.items, objects: read.reduce((sum, { id }) => sum + id, 0) };
    },
    positions: async (range, maxEvents, signal) => {
      const { until, objects } = await readHistoryObjects(pool, range);
      const limits = { maxEvents, maxBytes: Number.POSITIVE_INFINITY };
      const picked = new Picked<{ readonly position: number }>(until, limits, () => 0);
      await eachGroup(groups, objects, range.after, picked, signal, async (object, place) => {
        const columns = await groups.positions(object, place, signal);
        const rows = await wanted({ object, place }, columns, range, picked.until);
        picked.add(rows.map((row) => ({ position: Number(columns.position[row]) })));
      });
      return { until: picked.until, positions: picked.items.map(({ position }) => position) };
    },
    sumObjects: (after, until) => sumHistoryObjects(pool, after, until),
    close: () => store.close(),
  };
};

interface GroupAt {
  readonly object: HistoryObject;
  readonly place: GroupPlace;
}

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

/** The first items by position that fit; `until` comes down when not all of them do. */
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

/** In order of position, as the group is. */
const rowsOf = (columns: FilterColumns, { after, organizationIds, accountIds }: FeedRange, until: number): number[] => {
  const isOrganization = oneOf(columns.organization_id, organizationIds);
  const isAccount = oneOf(columns.account_id, accountIds);
  const rows: number[] = [];
  for (let row = firstBehind(columns.position, after); row < columns.position.length; row += 1) {
    if (Number(columns.position[row]) > until) break;
    if (isOrganization(row) && isAccount(row)) rows.push(row);
  }
  return rows;
};

const oneOf = (column: ArrayLike<unknown>, ids: readonly string[] | undefined): ((row: number) => boolean) => {
  if (ids === undefined) return () => true;
  const wanted = new Set<string | null>(ids);
  return (row) => wanted.has(textOf(column[row]));
};

const firstBehind = (positions: ArrayLike<unknown>, after: number): number => {
  let [low, high] = [0, positions.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Number(positions[middle]) > after) high = middle;
    else low = middle + 1;
  }
  return low;
};

/** As many as fit and one more. Raw texts are copied, so that the group need not stay in memory. */
const eventsOf = (
  columns: EventColumns,
  rows: readonly number[],
  { maxEvents, maxBytes }: RowLimits,
): ArchivedEvent[] => {
  const fitting: { readonly row: number; readonly raw: Uint8Array }[] = [];
  let bytes = 0;
  for (const row of rows) {
    const raw = columns.raw[row] as Uint8Array;
    bytes += raw.length;
    // By one more than fits it shows that the picked events are cut.
    fitting.push({ row, raw });
    if (fitting.length > maxEvents || (fitting.length > 1 && bytes > maxBytes)) break;
  }
  const memory = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  return fitting.map(({ row, raw }) => {
    memory.set(raw, at);
    at += raw.length;
    return eventOf(columns, row, memory.subarray(at - raw.length, at));
  });
};

const eventOf = (columns: EventColumns, row: number, raw: Uint8Array): ArchivedEvent => {
  const text = (column: ArrayLike<unknown>) => column[row] as Uint8Array;
  const orNull = (column: ArrayLike<unknown>) => (column[row] ?? null) as Uint8Array | null;
  return {
    position: Number(columns.position[row]),
    sourceKind: text(columns.source_kind),
    sourceId: text(columns.source_id),
    organizationId: orNull(columns.organization_id),
    id: text(columns.id),
    actionTime: columns.action_time[row] as bigint,
    receivedAt: columns.received_at[row] as bigint,
    defects: defectsOf(columns.defects[row]),
    accountId: orNull(columns.account_id),
    accountName: orNull(columns.account_name),
    zoneId: orNull(columns.zone_id),
    zoneName: orNull(columns.zone_name),
    raw,
  };
};

/** They tell which entries are about a user, and which are copies of each other. */
const copyColumns = [
  'position',
  'organization_id',
  'account_id',
  'source_kind',
  'resource_scope',
  'id',
  'action_time',
] as const;

/** As `aboutUser` in src/feed/feed.ts. */
const userScopes = new Set(['user', 'memberships']);

/** The entries about a user, by what copies have in common, and by position. */
const userRowsOf = (columns: GroupColumns<(typeof copyColumns)[number]>) => {
  const byKey = new Map<string, UserRow[]>();
  const keys = new Map<number, { readonly key: string; readonly actionTime: bigint }>();
  for (let row = 0; row < columns.position.length; row += 1) {
    if (!userScopes.has(textOf(columns.resource_scope[row]) ?? '')) continue;
    if (textOf(columns.source_kind[row]) !== 'account') continue;
    const position = Number(columns.position[row]);
    const actionTime = columns.action_time[row] as bigint;
    const key = `${actionTime} ${textOf(columns.id[row])}`;
    const [organizationId, accountId] = [textOf(columns.organization_id[row]), textOf(columns.account_id[row])];
    byKey.set(key, [...(byKey.get(key) ?? []), { position, organizationId, accountId }]);
    keys.set(position, { key, actionTime });
  }
  return { byKey, keys };
};

type UserRows = ReturnType<typeof userRowsOf>;

interface UserRow {
  readonly position: number;
  readonly organizationId: string | null;
  readonly accountId: string | null;
}

/** As `isFirstCopy`: no copies of an entry at a lower position that the reader gets as well. Copies have the same time, so the same month. */
const firstCopiesOf = async (
  source: {
    userRows(object: HistoryObject, place: GroupPlace): Promise<UserRows>;
    groupsOf(object: HistoryObject): Promise<readonly GroupPlace[]>;
    objectsOfMonth(month: string, upTo: number): Promise<readonly HistoryObject[]>;
  },
  { object, place }: GroupAt,
  positions: readonly number[],
  range: FeedRange,
): Promise<ReadonlySet<number>> => {
  const firsts = new Set(positions);
  const { keys } = await source.userRows(object, place);
  const open = new Map([...keys].filter(([position]) => firsts.has(position)));
  const highest = Math.max(0, ...open.keys());
  for (const other of open.size === 0 ? [] : await source.objectsOfMonth(object.month, highest)) {
    for (const group of await source.groupsOf(other)) {
      if (group.firstPosition >= highest || ![...open.values()].some(({ actionTime }) => hasTime(group, actionTime)))
        continue;
      const { byKey } = await source.userRows(other, group);
      for (const [position, { key }] of open) {
        if (!byKey.get(key)?.some((row) => row.position < position && meets(row, range))) continue;
        firsts.delete(position);
        open.delete(position);
      }
    }
  }
  return firsts;
};

const hasTime = ({ firstActionTime, lastActionTime }: GroupPlace, time: bigint): boolean =>
  firstActionTime <= time && lastActionTime >= time;

const meets = ({ organizationId, accountId }: UserRow, { organizationIds, accountIds }: FeedRange): boolean =>
  (organizationIds === undefined || (organizationId !== null && organizationIds.includes(organizationId))) &&
  (accountIds === undefined || (accountId !== null && accountIds.includes(accountId)));

const filterColumns = ['position', 'organization_id', 'account_id'] as const;
const eventColumns = [
  ...filterColumns,
  'source_kind',
  'source_id',
  'id',
  'action_time',
  'received_at',
  'defects',
  'account_name',
  'zone_id',
  'zone_name',
  'raw',
] as const;
type FilterColumns = GroupColumns<(typeof filterColumns)[number]>;
type EventColumns = GroupColumns<(typeof eventColumns)[number]>;

const MAX_FOOTERS = 32;
/** Of row groups, in memory: the next piece of a reader is in the same group. */
const MAX_KEPT_BYTES = 48 * 1_048_576;
const MAX_KEPT_POSITIONS = 32;
const MAX_KEPT_USER_ROWS = 100_000;
/** A row group in memory each. */
const MAX_READING = 2;
const MAX_WAITING = 128;
const MAX_WAIT_MS = 30_000;
const RETRY_AFTER_SECONDS = 5;

/** The last row groups are kept, by what is wanted of them. Throws BusyError if too many readers wait. */
const createGroups = (ranges: ObjectRanges) => {
  const limit = new ConcurrencyLimit({
    maxRunning: MAX_READING,
    maxWaiting: MAX_WAITING,
    maxWaitMs: MAX_WAIT_MS,
    busy: () => new BusyError('busy: too many readers of the archive', RETRY_AFTER_SECONDS),
  });
  const footers = new RecentlyUsed<number, ParquetFooter>(MAX_FOOTERS);
  const events = new RecentlyUsed<string, EventColumns & { readonly bytes: number }>(
    MAX_KEPT_BYTES,
    ({ bytes }) => bytes,
  );
  const positions = new RecentlyUsed<string, FilterColumns>(MAX_KEPT_POSITIONS);
  const userRows = new RecentlyUsed<string, UserRows>(MAX_KEPT_USER_ROWS, ({ keys }) => keys.size);
  const reader = (object: HistoryObject) => (from: number, to: number) => ranges.read(object, { from, to });
  const footer = (object: HistoryObject) => footers.get(object.id, () => readFooter(object.bytes, reader(object)));
  const within = async <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const leave = await limit.acquire(signal);
    return await work().finally(leave);
  };
  const sourceOf = async (object: HistoryObject) => ({
    footer: await footer(object),
    sizeBytes: object.bytes,
    read: reader(object),
  });
  const nameOf = ({ id }: HistoryObject, { rowStart }: GroupPlace) => `${id} ${rowStart}`;
  return {
    footer,
    events: (object: HistoryObject, place: GroupPlace, signal?: AbortSignal) =>
      within(signal, () =>
        events.get(nameOf(object, place), async () => ({
          ...(await readColumns(await sourceOf(object), place, { names: eventColumns, atOnce: true })),
          bytes: place.bytes,
        })),
      ),
    userRows: (object: HistoryObject, place: GroupPlace) =>
      within(undefined, () =>
        userRows.get(nameOf(object, place), async () =>
          userRowsOf(await readColumns(await sourceOf(object), place, { names: copyColumns, atOnce: false })),
        ),
      ),
    positions: (object: HistoryObject, place: GroupPlace, signal?: AbortSignal) =>
      within(signal, () =>
        positions.get(nameOf(object, place), async () =>
          readColumns(await sourceOf(object), place, { names: filterColumns, atOnce: false }),
        ),
      ),
  };
};
