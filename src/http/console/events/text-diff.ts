import { diffLines } from 'diff';

export interface DiffPart {
  readonly kind: 'same' | 'removed' | 'added';
  readonly text: string;
}

/** Between texts that share little the work grows with the square of the differences: then both are shown as a whole. */
const MAX_DIFFERENT_LINES = 4_000;

/** The difference of `before` and `after`, line by line. Undefined if they are too different to compare within `timeoutMs`. */
export const diffTexts = (before: string, after: string, timeoutMs: number): readonly DiffPart[] | undefined =>
  diffLines(before, after, { maxEditLength: MAX_DIFFERENT_LINES, timeout: timeoutMs })?.map(
    ({ value, added, removed }) => ({ kind: added ? 'added' : removed ? 'removed' : 'same', text: value }),
  );
