/*
 * Positions are given out without gaps. Where one has no event, a drop by retention must have taken it, or a jump must have left it out:
 * else it was deleted.
 */

/** [from, to) of positions. */
export type HoleRange = readonly [from: number, to: number];

/** The first position of the holes that none of the explanations has; undefined if all are explained. */
export const unexplainedHole = (
  holes: readonly HoleRange[],
  explanations: readonly HoleRange[],
): number | undefined => {
  const sorted = explanations.toSorted(([a], [b]) => a - b);
  for (const [from, to] of holes) {
    let at = from;
    for (const [start, end] of sorted) if (start <= at && end > at) at = end;
    if (at < to) return at;
  }
  return undefined;
};

/** Where the next chunk ends, and whether it is within a jump, which has no events. A chunk never reaches into one. */
export const nextChunk = (
  { size, head, events, holes }: { size: number; head: number; events: number; holes: number },
  jumps: readonly HoleRange[],
): { readonly until: number; readonly isHole: boolean } => {
  const next = size + 1;
  const within = jumps.find(([from, to]) => from <= next && next < to);
  if (within !== undefined) return { until: Math.min(head, within[1] - 1, size + holes), isHole: true };
  const ahead = jumps.filter(([from]) => from > next).map(([from]) => from - 1);
  return { until: Math.min(head, size + events, ...ahead), isHole: false };
};
