import type { PositionRange } from './fields.ts';
import type { StatementOf } from './statement.ts';
import { MAX_STATEMENT_BYTES, writeStatement } from './statement-text.ts';

/** Positions in ascending order as ranges: neighbours go together. Throws a RangeError for other orders. */
export const rangesOf = (positions: Iterable<number>): PositionRange[] => {
  const ranges: [number, number][] = [];
  let last: [number, number] | undefined;
  for (const position of positions) {
    if (last !== undefined && position < last[1]) throw new RangeError(`position ${position} after ${last[1] - 1}`);
    if (last?.[1] === position) {
      last[1] = position + 1;
    } else {
      last = [position, position + 1];
      ranges.push(last);
    }
  }
  return ranges;
};

/** Brackets, commas, and two numbers below 2⁵³. */
const MAX_RANGE_BYTES = 36;
const MAX_PART_DIGITS = 2 * 16;

/** The statements of one drop: as few as hold these ranges. */
export const dropParts = (
  drop: Omit<StatementOf<'drop'>, 'positions' | 'part' | 'parts'>,
  ranges: readonly PositionRange[],
): StatementOf<'drop'>[] => {
  const empty = writeStatement({ ...drop, positions: [], part: 1, parts: 1 });
  const room = MAX_STATEMENT_BYTES - Buffer.byteLength(empty) - MAX_PART_DIGITS;
  const most = Math.floor(room / MAX_RANGE_BYTES);
  if (most < 1) throw new RangeError('a drop leaves no room for its positions');
  const parts = Math.max(1, Math.ceil(ranges.length / most));
  return Array.from({ length: parts }, (_, index) => ({
    ...drop,
    positions: ranges.slice(index * most, (index + 1) * most).map(([from, to]): [number, number] => [from, to]),
    part: index + 1,
    parts,
  }));
};
