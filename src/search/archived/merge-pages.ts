import type { SearchCursor } from '../search-cursor.ts';

/** Where an event stands: its time in microseconds since 1970; undefined: before all times. */
export interface Place {
  readonly time: bigint | undefined;
  readonly position: number;
  /** The time as PostgreSQL writes it, if it has. */
  readonly text?: string;
}

/** What one part of history has, in the direction of the page, and how far that is all that there is. */
export interface PagePart<T> {
  readonly items: readonly { readonly value: T; readonly place: Place }[];
  /** What comes behind this place, in the direction, may be missing. Undefined: nothing is. */
  readonly end: Place | undefined;
}

export interface MergedPage<T> {
  /** In the direction of the page. */
  readonly items: readonly { readonly value: T; readonly place: Place }[];
  readonly more: boolean;
  /** Up to here both parts were looked at; undefined: the last item says it, or there is no more. */
  readonly reached: Place | undefined;
}

/** Two parts in one order, as far as both are known. An event that is in both is given once: its month was dropped meanwhile. */
export const mergeParts = <T>(
  parts: readonly PagePart<T>[],
  { direction, limit }: { readonly direction: SearchCursor['direction']; readonly limit: number },
): MergedPage<T> => {
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

/** The order of the items of a page. */
export const orderOf = (direction: SearchCursor['direction']): ((a: Place, b: Place) => number) =>
  direction === 'older' ? (a, b) => compare(b, a) : compare;

const compare = (a: Place, b: Place): number => {
  if (a.time === b.time) return a.position - b.position;
  if (a.time === undefined || b.time === undefined) return a.time === undefined ? -1 : 1;
  return a.time > b.time ? 1 : -1;
};

/** Of a time as PostgreSQL wrote it in UTC: exact, of any year. */
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
