import { prettyJson } from './pretty-json.ts';
import { type DiffPart, diffTexts } from './text-diff.ts';

const MAX_COMPARED_CHARACTERS = 4_000_000;
/** Lines that are the same, above and below a difference. */
const CONTEXT_LINES = 3;

export interface DiffLine {
  readonly kind: DiffPart['kind'] | 'left-out';
  readonly text: string;
}

/** JSON text as it is compared: one member or element a line. */
export const layOut = (text: string): string => `${prettyJson(text)}\n`;

/**
 * The lines in which two texts differ, with some that are the same around them; none if they are the same. Undefined if they are too large, or
 * too different to compare before `deadlineMs`, a time of `performance.now()`.
 */
export const differenceLines = (before: string, after: string, deadlineMs: number): readonly DiffLine[] | undefined => {
  const remainingMs = Math.floor(deadlineMs - performance.now());
  const isLarge = before.length + after.length > MAX_COMPARED_CHARACTERS;
  const parts = remainingMs <= 0 || isLarge ? undefined : diffTexts(before, after, remainingMs);
  if (parts?.every(({ kind }) => kind === 'same')) return [];
  return parts?.flatMap((part, n) => linesOf(part, n === 0, n === parts.length - 1));
};

const linesOf = ({ kind, text }: DiffPart, isFirst: boolean, isLast: boolean): DiffLine[] => {
  const lines = text.replace(/\n$/, '').split('\n');
  const all = (some: readonly string[]) => some.map((line): DiffLine => ({ kind, text: line }));
  if (kind !== 'same') return all(lines);
  const head = isFirst ? 0 : CONTEXT_LINES;
  const tail = isLast ? 0 : CONTEXT_LINES;
  const between = lines.length - head - tail;
  if (between <= 1) return all(lines);
  return [
    ...all(lines.slice(0, head)),
    { kind: 'left-out', text: `${between} lines are the same` },
    ...all(lines.slice(lines.length - tail)),
  ];
};
