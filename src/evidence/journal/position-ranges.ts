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
