import type { PositionRange } from './fields.ts';

/** In order, those that touch or overlap as one: a walk over them sees each position once, however often a statement names it. */
export const unitedPositions = (ranges: readonly PositionRange[]): PositionRange[] => {
  const all: [number, number][] = [];
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    const last = all.at(-1);
    if (last === undefined || last[1] < from) all.push([from, to]);
    else last[1] = Math.max(last[1], to);
  }
  return all;
};

/** Whether a position is in one of these ranges, which are united: there may be as many as positions. */
export const isInPositions = (ranges: readonly PositionRange[], position: number): boolean => {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.[1] ?? 0) <= position) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.[0] ?? Number.POSITIVE_INFINITY) <= position;
};
