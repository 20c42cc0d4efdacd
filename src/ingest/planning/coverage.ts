/** A stretch of time `[fromMs, toMs)` in milliseconds since 1970. Never empty inside a `Coverage`. */
export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Ranges in ascending order that neither touch nor overlap: what a PostgreSQL `tstzmultirange` holds. */
export type Coverage = readonly Range[];

export const isEmpty = (range: Range): boolean => range.toMs <= range.fromMs;

export const isWithin = (inner: Range, outer: Range): boolean =>
  inner.fromMs >= outer.fromMs && inner.toMs <= outer.toMs;

export const touches = (a: Range, b: Range): boolean => a.fromMs <= b.toMs && a.toMs >= b.fromMs;

export const intersect = (a: Range, b: Range): Range => ({
  fromMs: Math.max(a.fromMs, b.fromMs),
  toMs: Math.min(a.toMs, b.toMs),
});

export const gapsIn = (wanted: Range, covered: Coverage): Range[] => {
  const gaps: Range[] = [];
  let fromMs = wanted.fromMs;
  for (const range of covered) {
    if (range.toMs <= fromMs) continue;
    if (range.fromMs >= wanted.toMs) break;
    if (range.fromMs > fromMs) gaps.push({ fromMs, toMs: range.fromMs });
    fromMs = range.toMs;
  }
  if (fromMs < wanted.toMs) gaps.push({ fromMs, toMs: wanted.toMs });
  return gaps;
};

/** Where the first gap begins at or after `fromMs`: `fromMs` itself if that is not covered. */
export const endOfReadFrom = (fromMs: number, covered: Coverage): number =>
  covered.find((range) => range.fromMs <= fromMs && range.toMs > fromMs)?.toMs ?? fromMs;

export const gapsAmong = (wanted: Range, covered: Coverage, among: Coverage): Range[] =>
  gapsIn(wanted, covered).flatMap((gap) =>
    among.map((range) => intersect(range, gap)).filter((range) => !isEmpty(range)),
  );

/** The database does the same with `+`. */
export const addRange = (covered: Coverage, added: Range): Coverage => {
  if (isEmpty(added)) return covered;
  const result: Range[] = [];
  let { fromMs, toMs } = added;
  for (const range of covered) {
    if (range.toMs < fromMs || range.fromMs > toMs) result.push(range);
    else {
      fromMs = Math.min(fromMs, range.fromMs);
      toMs = Math.max(toMs, range.toMs);
    }
  }
  return [...result, { fromMs, toMs }].sort((a, b) => a.fromMs - b.fromMs);
};

export const toMultirange = (ranges: readonly Range[]): string =>
  `{${ranges
    .filter((range) => !isEmpty(range))
    .map((range) => `[${new Date(range.fromMs).toISOString()},${new Date(range.toMs).toISOString()})`)
    .join(',')}}`;
