import { createHash } from 'node:crypto';
import type { SearchCursor } from '../query/search.ts';
import type { ArchivedGroup, ArchivedMonths } from './archived-columns.ts';
import type { MatchedRows, Matcher } from './filter-rows.sql.ts';

export interface PickedRow extends RowPlace {
  readonly group: ArchivedGroup;
  readonly row: number;
}

/** In microseconds since 1970; undefined: without an end on that side. */
export interface PageBounds {
  readonly direction: SearchCursor['direction'];
  readonly since: bigint | undefined;
  readonly before: bigint | undefined;
  readonly cursor: RowPlace | undefined;
  /** What the cursor says of the groups of its month. */
  readonly known: string | undefined;
  /** The last position that is looked at. */
  readonly untilPosition: number | undefined;
  readonly organization: string | undefined;
}

/** In the direction of the page. */
export interface PickedPage {
  readonly rows: readonly PickedRow[];
  /** Where its time was over: all in front of this cursor was looked at. Never in front of the page's own cursor. */
  readonly reached: RowPlace | undefined;
  /** For a cursor at or behind the page's own: what is known of groups that were looked at, if its time was over. */
  readonly known?: KnownGroups['print'];
  readonly months: readonly string[];
}

const TOGETHER = 2;

/**
 * The first `most` rows behind the cursor that match. Groups are looked at in the order of the nearest place that each may have, two at least,
 * until none can have anything nearer than what was found, or until `isOver`. If it is over with nothing that is certain, since all groups may
 * have something nearer, the page ends where it began, and `known` has how far it came.
 */
export const pickRows = async (
  source: Pick<ArchivedMonths, 'groups'>,
  months: readonly string[],
  asked: PageBounds,
  reading: {
    readonly matcher: Matcher;
    readonly most: number;
    readonly isOver: () => boolean;
    readonly signal: AbortSignal | undefined;
  },
): Promise<PickedPage> => {
  const { matcher, most, isOver, signal } = reading;
  const bounds = { ...asked, cursor: beginOf(asked) };
  const { direction, organization, untilPosition } = bounds;
  const inOrder = orderOf(direction);
  const looked: string[] = [];
  let visited = 0;
  let picked: readonly PickedRow[] = [];
  const lastPicked = () => (picked.length < most ? undefined : picked.at(-1));
  const add = (group: ArchivedGroup, { rows, times, positions }: MatchedRows) => {
    const last = lastPicked();
    const more = rows.flatMap((row, n): PickedRow[] => {
      const one = { group, row, time: times[n] ?? 0n, position: positions[n] ?? 0 };
      return isWithin(one, bounds) && (last === undefined || inOrder(one, last) < 0) ? [one] : [];
    });
    if (more.length > 0) picked = [...picked, ...more].sort(inOrder).slice(0, most);
  };
  for (const month of direction === 'older' ? [...months].reverse() : months) {
    if (picked.length >= most) break;
    const all = (await source.groups(month, organization)).filter(
      ({ firstPosition }) => untilPosition === undefined || firstPosition <= untilPosition,
    );
    const knownGroups = createKnownGroups(all, month, bounds, matcher.question);
    const groups = wantedGroups(knownGroups, bounds);
    looked.push(month);
    for (let n = 0; n < groups.length; n += TOGETHER) {
      signal?.throwIfAborted();
      const next = groups.slice(n, n + TOGETHER);
      const nearest = next[0]?.nearest ?? { time: 0n, position: 0 };
      const last = lastPicked();
      if (last !== undefined && inOrder(last, nearest) < 0) break;
      if (visited > 0 && isOver()) {
        const rows = picked.filter((row) => inOrder(row, nearest) < 0);
        return { rows, reached: endBefore(nearest, bounds), known: knownGroups.print, months: looked };
      }
      visited += next.length;
      const found = await Promise.all(next.map(({ group }) => matcher.match(group)));
      for (const [at, { group }] of next.entries()) {
        const rows = found[at] ?? { rows: [], times: [], positions: [] };
        knownGroups.look(group, withinPosition(rows, bounds));
        add(group, rows);
      }
    }
  }
  return { rows: picked, reached: undefined, months: looked };
};

/** The cursor, or the beginning of the time searched if that is behind it. */
const beginOf = ({ direction, since, before, cursor }: PageBounds): RowPlace | undefined => {
  const time = direction === 'older' ? before : since;
  const begin = time === undefined ? undefined : { time, position: 0 };
  if (cursor === undefined || begin === undefined) return cursor ?? begin;
  return orderOf(direction)(begin, cursor) > 0 ? begin : cursor;
};

const wantedGroups = (known: KnownGroups, bounds: PageBounds) => {
  const inOrder = orderOf(bounds.direction);
  return known.groups
    .flatMap((group) => {
      const nearest = known.nearest(group);
      return nearest !== undefined && mayHave(group, bounds) && mayBegin(nearest, bounds) ? [{ group, nearest }] : [];
    })
    .sort((a, b) => inOrder(a.nearest, b.nearest));
};

const endBefore = (place: RowPlace, { direction, cursor }: PageBounds): RowPlace => {
  const end = justBefore(place, direction);
  return cursor !== undefined && orderOf(direction)(end, cursor) < 0 ? cursor : end;
};

/** Whether the time searched has not ended in front of the place. */
const mayBegin = ({ time }: RowPlace, { direction, since, before }: PageBounds): boolean =>
  direction === 'older' ? since === undefined || time >= since : before === undefined || time < before;

const withinPosition = (found: MatchedRows, { untilPosition = Number.POSITIVE_INFINITY }: PageBounds): MatchedRows => {
  const pick = <T>(values: readonly T[]) => values.filter((_, n) => (found.positions[n] ?? 0) <= untilPosition);
  return { rows: pick(found.rows), times: pick(found.times), positions: pick(found.positions) };
};

const isWithin = (row: PickedRow, { direction, since, before, cursor, untilPosition }: PageBounds): boolean =>
  (since === undefined || row.time >= since) &&
  (before === undefined || row.time < before) &&
  (untilPosition === undefined || row.position <= untilPosition) &&
  (cursor === undefined || orderOf(direction)(row, cursor) > 0);

const mayHave = ({ firstTime, lastTime }: ArchivedGroup, { direction, since, before, cursor }: PageBounds): boolean =>
  (since === undefined || lastTime >= since) &&
  (before === undefined || firstTime < before) &&
  (cursor === undefined || (direction === 'older' ? firstTime <= cursor.time : lastTime >= cursor.time));

/** Its time in microseconds since 1970; undefined: before all times. */
export interface Place {
  readonly time: bigint | undefined;
  readonly position: number;
  /** The time as PostgreSQL writes it, if it is known. */
  readonly text?: string;
}

export interface PagePart<T> {
  readonly items: readonly { readonly value: T; readonly place: Place }[];
  /** What comes behind this place may be missing. Undefined: nothing is. */
  readonly end: Place | undefined;
}

/** As far as both parts are known. An event in both is given once: its month was dropped meanwhile. */
export const mergeParts = <T>(
  parts: readonly PagePart<T>[],
  { direction, limit }: { readonly direction: SearchCursor['direction']; readonly limit: number },
): {
  readonly items: PagePart<T>['items'];
  readonly more: boolean;
  /** Up to here both parts were looked at; undefined: the last item says it, or there is no more. */
  readonly reached: Place | undefined;
} => {
  const inOrder = orderOf(direction);
  const [end] = parts.flatMap((part) => (part.end === undefined ? [] : [part.end])).sort(inOrder);
  const seen = new Set<number>();
  const merged = parts
    .flatMap(({ items }) => items)
    .sort((a, b) => inOrder(a.place, b.place))
    .filter(({ place }) => {
      const isNew = !seen.has(place.position);
      seen.add(place.position);
      return isNew && (end === undefined || inOrder(place, end) <= 0);
    });
  const items = merged.slice(0, limit);
  const isCut = merged.length > limit;
  const last = items.at(-1);
  const isAtEnd = end !== undefined && last !== undefined && inOrder(last.place, end) === 0;
  return { items, more: isCut || end !== undefined, reached: isCut || isAtEnd ? undefined : end };
};

/** Negative if the first comes first on pages. */
export const orderOf = (direction: SearchCursor['direction']): ((a: Place, b: Place) => number) =>
  direction === 'older' ? (a, b) => compare(b, a) : compare;

const compare = (a: Place, b: Place): number => {
  if (a.time === b.time) return a.position - b.position;
  if (a.time === undefined || b.time === undefined) return a.time === undefined ? -1 : 1;
  return a.time > b.time ? 1 : -1;
};

/** Of a time as PostgreSQL writes it in UTC: exact, of any year. */
export const placeOf = ({ time, position }: { readonly time: string; readonly position: number }): Place => ({
  time: microsecondsOf(time),
  position,
  text: time,
});

const microsecondsOf = (text: string): bigint | undefined => {
  const match = /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?\+00( BC)?$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', bc] = match;
  const date = new Date(0);
  date.setUTCFullYear(bc === undefined ? Number(year) : 1 - Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second), 0);
  return BigInt(date.getTime()) * 1_000n + BigInt(fraction.padEnd(6, '0'));
};

export interface RowPlace {
  readonly time: bigint;
  readonly position: number;
}

/** The place of the next match of a group behind the cursor, or one in front of that; or that there is none. */
type Bound = (RowPlace & { readonly isExact: boolean }) | 'nothing';

/** Groups whose next match is named. The nearest place of the others is known. */
const MAX_NAMED = 8;
const KEY_LENGTH = 12;

/** A cursor that has the place behind it, and nothing that is in front of the place. */
const justBefore = ({ time, position }: RowPlace, direction: SearchCursor['direction']): RowPlace => ({
  time,
  position: direction === 'older' ? position + 1 : Math.max(0, position - 1),
});

type KnownGroups = ReturnType<typeof createKnownGroups>;

/**
 * All groups of a month, and what the cursor of a page says of them, so that the next page need not look at them again, in whatever process it is
 * read. A group is looked at again only when the cursor has come to its next match: so pages of a search come to their end if each looks at one
 * group at least, even if nothing else is remembered between them.
 */
const createKnownGroups = (
  all: readonly ArchivedGroup[],
  month: string,
  /** `known`: as an earlier page printed it. It is used only for this question and exactly these groups. */
  { direction, cursor, known: printed }: Pick<PageBounds, 'direction' | 'cursor' | 'known'>,
  question: string,
) => {
  const inOrder = orderOf(direction);
  const groups = [...all].sort(
    (a, b) => inOrder(first(a, direction), first(b, direction)) || (a.name < b.name ? -1 : 1),
  );
  const asked = JSON.stringify([month, direction, question, groups.map(({ name }) => name)]);
  const key = createHash('sha256').update(asked).digest('hex').slice(0, KEY_LENGTH);
  const told = readKnown(printed, key, groups.length);
  const indexes = new Map(groups.map((group, index) => [group.name, index]));
  const looked = new Map<number, MatchedRows>();
  const isAhead = (bound: RowPlace & { readonly isExact: boolean }, at: RowPlace) =>
    inOrder(bound.isExact ? bound : justBefore(bound, direction), at) > 0;
  const boundAt = (index: number, at: RowPlace): Bound | undefined => {
    const found = looked.get(index);
    if (found !== undefined) {
      const next = nextMatch(found, at, inOrder);
      return next === undefined ? 'nothing' : { ...next, isExact: true };
    }
    const bound = told(index);
    // Once the cursor has come there, what comes behind it must be looked up.
    if (bound === 'nothing' || (bound !== undefined && isAhead(bound, at))) return bound;
    const group = groups[index];
    return group !== undefined && inOrder(last(group, direction), at) <= 0 ? 'nothing' : undefined;
  };
  return {
    /** In the order of the nearest place that each may have. */
    groups,
    /** The nearest place that a group may have; undefined: it has nothing behind the cursor. */
    nearest: (group: ArchivedGroup): RowPlace | undefined => {
      const bound = cursor && boundAt(indexes.get(group.name) ?? -1, cursor);
      return bound === 'nothing' ? undefined : (bound ?? first(group, direction));
    },
    look: (group: ArchivedGroup, found: MatchedRows) => looked.set(indexes.get(group.name) ?? -1, found),
    /** For a cursor at or behind that of this page; undefined: nothing is known that is worth telling. */
    print: (at: RowPlace): string | undefined => {
      const bounds: Bound[] = [];
      for (let bound = boundAt(0, at); bound !== undefined; bound = boundAt(bounds.length, at)) bounds.push(bound);
      return bounds.length === 0 ? undefined : printKnown(key, bounds, inOrder);
    },
  };
};

/** By the statistics of a group: the nearest place that it may have, and the farthest. */
const first = (group: ArchivedGroup, direction: SearchCursor['direction']): RowPlace =>
  direction === 'older'
    ? { time: group.lastTime, position: group.lastPosition }
    : { time: group.firstTime, position: group.firstPosition };
const last = (group: ArchivedGroup, direction: SearchCursor['direction']): RowPlace =>
  first(group, direction === 'older' ? 'newer' : 'older');

const nextMatch = (
  { times, positions }: MatchedRows,
  at: RowPlace,
  inOrder: (a: RowPlace, b: RowPlace) => number,
): RowPlace | undefined => {
  let next: RowPlace | undefined;
  for (const [n, position] of positions.entries()) {
    const place = { time: times[n] ?? 0n, position };
    if (inOrder(place, at) > 0 && (next === undefined || inOrder(place, next) < 0)) next = place;
  }
  return next;
};

/** `KEY:HOW_MANY:REST:INDEX/PLACE,…`, of the first groups. A group that is not named has nothing nearer than REST, or without it nothing at all. */
const printKnown = (key: string, bounds: readonly Bound[], inOrder: (a: RowPlace, b: RowPlace) => number): string => {
  const places = bounds.flatMap((bound, index) => (bound === 'nothing' ? [] : [{ index, ...bound }])).sort(inOrder);
  const exact = places.filter(({ isExact }) => isExact);
  const print = ({ time, position }: RowPlace) => `${time}/${position}`;
  const [rest] = [...places.filter(({ isExact }) => !isExact), ...exact.slice(MAX_NAMED)].sort(inOrder);
  const named = exact.slice(0, MAX_NAMED).map((place) => `${place.index}/${print(place)}`);
  return [key, bounds.length, rest === undefined ? '' : print(rest), named.join(',')].join(':');
};

const known =
  /^([0-9a-f]+):(\d{1,6}):((?:-?\d{1,18}\/\d{1,15})?):((?:\d{1,6}\/-?\d{1,18}\/\d{1,15}(?:,\d{1,6}\/-?\d{1,18}\/\d{1,15})*)?)$/;

const readKnown = (text: string | undefined, key: string, groups: number): ((index: number) => Bound | undefined) => {
  const match = text === undefined ? null : known.exec(text);
  const [, ofKey, digits, rest = '', list = ''] = match ?? [];
  const first = Number(digits);
  if (match === null || ofKey !== key || first > groups) return () => undefined;
  const read = (place: string, isExact: boolean): Bound => {
    const [time = '0', position] = place.split('/');
    return { time: BigInt(time), position: Number(position), isExact };
  };
  const named = new Map(
    (list === '' ? [] : list.split(',')).map((one) => {
      const [index, ...place] = one.split('/');
      return [Number(index), read(place.join('/'), true)] as const;
    }),
  );
  const others: Bound = rest === '' ? 'nothing' : read(rest, false);
  return (index) => (index < first ? (named.get(index) ?? others) : undefined);
};
