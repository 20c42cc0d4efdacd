import { diffLines } from 'diff';
import { endOfString } from '../ingest/entries/json-bytes.ts';

const MAX_COMPARED_CHARACTERS = 4_000_000;
const CONTEXT_LINES = 3;

export interface DiffLine {
  readonly kind: DiffPart['kind'] | 'left-out';
  readonly text: string;
}

/** One member or element a line. */
export const layOut = (text: string): string => `${prettyJson(text)}\n`;

/** Lines that differ, and some around them. Undefined: too large, or not compared before `deadlineMs`, a time of `performance.now()`. */
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

const INDENT = '  ';
/** Deeper nesting stays on one line: indented, the 100,000 levels that an entry may have would take gigabytes. */
const MAX_INDENTED_DEPTH = 40;

const isSpace = (character: string): boolean =>
  character === ' ' || character === '\n' || character === '\r' || character === '\t';

/** One member or element a line. Only white space outside of strings changes. `text` must be valid JSON; it is never parsed into values. */
export const prettyJson = (text: string): string => {
  const pieces: string[] = [];
  let depth = 0;
  let index = 0;
  const breakLine = (level: number) => {
    if (level <= MAX_INDENTED_DEPTH) pieces.push('\n', INDENT.repeat(level));
  };
  while (index < text.length) {
    const character = text[index] as string;
    if (character === '"') {
      const end = endOfString(text, index);
      pieces.push(text.slice(index, end));
      index = end;
      continue;
    }
    index += 1;
    if (isSpace(character)) continue;
    if (character === '{' || character === '[') {
      const closes = nextToken(text, index);
      if (text[closes] === '}' || text[closes] === ']') {
        pieces.push(character, text[closes] as string);
        index = closes + 1;
        continue;
      }
      depth += 1;
      pieces.push(character);
      breakLine(depth);
    } else if (character === '}' || character === ']') {
      // A line break in front of each end, but for one of an empty container, which is taken above.
      if (depth <= MAX_INDENTED_DEPTH) pieces.push('\n', INDENT.repeat(depth - 1));
      depth -= 1;
      pieces.push(character);
    } else if (character === ',') {
      pieces.push(character);
      if (depth > MAX_INDENTED_DEPTH) pieces.push(' ');
      breakLine(depth);
    } else if (character === ':') pieces.push(': ');
    else pieces.push(character);
  }
  return pieces.join('');
};

const nextToken = (text: string, from: number): number => {
  let index = from;
  while (index < text.length && isSpace(text[index] as string)) index += 1;
  return index;
};

interface DiffPart {
  readonly kind: 'same' | 'removed' | 'added';
  readonly text: string;
}

/** The work grows with the square of the differences: texts that share little are shown whole. */
const MAX_DIFFERENT_LINES = 4_000;

/** Line by line. Undefined if they are too different to compare in time. */
export const diffTexts = (before: string, after: string, timeoutMs: number): readonly DiffPart[] | undefined =>
  diffLines(before, after, { maxEditLength: MAX_DIFFERENT_LINES, timeout: timeoutMs })?.map(
    ({ value, added, removed }) => ({ kind: added ? 'added' : removed ? 'removed' : 'same', text: value }),
  );
