import { floorDivide } from '../bytes.ts';

/* Chapter 1 of the format: `2026-11-26T07:00:00.000000Z`, compared in microseconds since 1970. */

const instantForm = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.(\d{6})Z$/;
const US_PER_SECOND = 1_000_000n;

/** Undefined for what is no instant. */
export const microsecondsOf = (instant: string): bigint | undefined => {
  const [, seconds, digits] = instantForm.exec(instant) ?? [];
  const ms = seconds === undefined ? Number.NaN : Date.parse(`${seconds}Z`);
  // JavaScript knows a 31st of February, and 24:00.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 19) !== seconds) return undefined;
  return BigInt(ms) * 1_000n + BigInt(digits ?? 0);
};

/** Throws a RangeError for a year that has not four digits. */
export const instantText = (us: bigint): string => {
  const second = floorDivide(us, US_PER_SECOND);
  const text = new Date(Number(second) * 1_000).toISOString();
  if (!/^\d{4}-/.test(text)) throw new RangeError(`${us} µs have no year of four digits`);
  return `${text.slice(0, 19)}.${String(us - second * US_PER_SECOND).padStart(6, '0')}Z`;
};

/** [start, end) of `2026-01`, in microseconds since 1970; undefined for any other text. */
export const timesOfMonth = (month: string): RangeUs | undefined => {
  const [, year, number] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month) ?? [];
  if (year === undefined || number === undefined) return undefined;
  const at = (m: number): bigint => {
    const date = new Date(0);
    date.setUTCFullYear(Number(year), m, 1);
    return BigInt(date.getTime()) * 1_000n;
  };
  return [at(Number(number) - 1), at(Number(number))];
};

/** Microseconds since 1970, [from, to). */
export type RangeUs = readonly [fromUs: bigint, toUs: bigint];
/** As statements have it. */
export type RangeText = readonly [from: string, to: string];
/** Leaf indexes or positions, [from, to). */
export type NumberRange = readonly [from: number, to: number];

export const usOf = (ranges: readonly RangeText[]): RangeUs[] =>
  ranges.map(([from, to]) => [microsecondsOf(from) ?? 0n, microsecondsOf(to) ?? 0n]);

export const textsOf = (ranges: readonly RangeUs[]): [string, string][] =>
  ranges.map(([from, to]) => [instantText(from), instantText(to)]);

export const rangeText = ([from, to]: RangeUs): string => `${instantText(from)} to ${instantText(to)}`;

/** In order, those that touch or overlap as one; empty ones are none. */
export const united = <T extends bigint | number>(ranges: readonly (readonly [T, T])[]): [T, T][] => {
  const all: [T, T][] = [];
  const some = ranges.filter(([from, to]) => from < to);
  for (const [from, to] of some.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const last = all.at(-1);
    if (last === undefined || last[1] < from) all.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return all;
};

/** What of one united list another united list does not have. */
export const without = <T extends bigint | number>(
  ranges: readonly (readonly [T, T])[],
  others: readonly (readonly [T, T])[],
): [T, T][] => {
  const left: [T, T][] = [];
  let next = 0;
  for (const [from, to] of ranges) {
    while ((others[next]?.[1] ?? to) <= from) next += 1;
    let at = from;
    for (let n = next; n < others.length; n += 1) {
      const [start, end] = others[n] as readonly [T, T];
      if (start >= to) break;
      if (start > at) left.push([at, start]);
      at = end;
    }
    if (at < to) left.push([at, to]);
  }
  return left;
};

/** What two united lists have both. */
export const shared = <T extends bigint | number>(
  ranges: readonly (readonly [T, T])[],
  others: readonly (readonly [T, T])[],
): [T, T][] => without(ranges, without(ranges, others));

/** Whether each of these lies within one of the others, which are united. */
export const liesWithin = <T extends bigint | number>(
  ranges: readonly (readonly [T, T])[],
  others: readonly (readonly [T, T])[],
): boolean => without(united(ranges), others).length === 0;

/** By binary search in a united list. */
export const holdsNumber = (ranges: readonly NumberRange[], number: number): boolean => {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.[1] ?? 0) <= number) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.[0] ?? Number.POSITIVE_INFINITY) <= number;
};
