import { createHash } from 'node:crypto';
import type { SearchCursor } from '../search-cursor.ts';
import type { MatchedRows } from './matching-rows.ts';
import type { ArchivedGroup } from './ports.ts';

/** Where an archived event stands: its time in microseconds since 1970. */
export interface RowPlace {
  readonly time: bigint;
  readonly position: number;
}

/** What is known of a group: the place of its next match behind the cursor; one that is in front of it; or that there is none. */
type Bound = (RowPlace & { readonly isExact: boolean }) | 'nothing';

/** What the cursor of a page says of the groups of a month, so that the next page need not look at them again, in whatever process it is. */
export interface KnownGroups {
  /** In the order of the nearest place that each may have. */
  readonly groups: readonly ArchivedGroup[];
  /** The nearest place that a group may have; undefined: it has nothing behind the cursor. */
  nearest(group: ArchivedGroup): RowPlace | undefined;
  /** What was found in it. */
  look(group: ArchivedGroup, found: MatchedRows): void;
  /** For a cursor at or behind that of this page; undefined: nothing is known that is worth to be told. */
  print(cursor: RowPlace): string | undefined;
}

interface KnownGroupsParts {
  readonly month: string;
  readonly direction: SearchCursor['direction'];
  readonly cursor: RowPlace | undefined;
  /** As an earlier page printed it. What is not of this question and of exactly these groups is not used. */
  readonly known: string | undefined;
  /** The conditions of the search; with other ones other rows are found. */
  readonly question: string;
}

/** Groups that are named with the place of their next match. Of the others the nearest such place is known. */
const MAX_NAMED = 8;
const KEY_LENGTH = 12;

/** A cursor that nothing in front of the place is behind of, and the place is. */
export const justBefore = ({ time, position }: RowPlace, direction: SearchCursor['direction']): RowPlace => ({
  time,
  position: direction === 'older' ? position + 1 : Math.max(0, position - 1),
});

/** Negative if the first one comes first on pages in that direction. */
export const placeOrder = (direction: SearchCursor['direction']): ((a: RowPlace, b: RowPlace) => number) => {
  const newer = (a: RowPlace, b: RowPlace) => (a.time === b.time ? a.position - b.position : a.time < b.time ? -1 : 1);
  return direction === 'older' ? (a, b) => newer(b, a) : newer;
};

/**
 * All groups of a month, and what is known of them. A group that was looked at is looked at again only when the cursor has come to its next
 * match: so pages of a search come to their end, if each looks at one group at least, also if nothing else is remembered between them.
 */
export const createKnownGroups = (all: readonly ArchivedGroup[], parts: KnownGroupsParts): KnownGroups => {
  const { direction, cursor } = parts;
  const inOrder = placeOrder(direction);
  const groups = [...all].sort(
    (a, b) => inOrder(first(a, direction), first(b, direction)) || (a.name < b.name ? -1 : 1),
  );
  const key = keyOf(groups, parts);
  const told = readKnown(parts.known, key, groups.length);
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
    // Once the cursor has come there, what is behind it must be looked up.
    if (bound === 'nothing' || (bound !== undefined && isAhead(bound, at))) return bound;
    const group = groups[index];
    return group !== undefined && inOrder(last(group, direction), at) <= 0 ? 'nothing' : undefined;
  };
  return {
    groups,
    nearest: (group) => {
      const bound = cursor && boundAt(indexes.get(group.name) ?? -1, cursor);
      return bound === 'nothing' ? undefined : (bound ?? first(group, direction));
    },
    look: (group, found) => looked.set(indexes.get(group.name) ?? -1, found),
    print: (at) => {
      const bounds: Bound[] = [];
      for (let bound = boundAt(0, at); bound !== undefined; bound = boundAt(bounds.length, at)) bounds.push(bound);
      return bounds.length === 0 ? undefined : printKnown(key, bounds, inOrder);
    },
  };
};

/** The nearest place that a group may have by its statistics, and the farthest. */
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

const keyOf = (groups: readonly ArchivedGroup[], { month, direction, question }: KnownGroupsParts): string =>
  createHash('sha256')
    .update(JSON.stringify([month, direction, question, groups.map(({ name }) => name)]))
    .digest('hex')
    .slice(0, KEY_LENGTH);

/** `KEY:HOW_MANY:REST:INDEX/PLACE,…`: of the first so many groups; what is not named has nothing that is nearer than REST; or nothing, without it. */
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

/** What was said of the group with an index. */
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
