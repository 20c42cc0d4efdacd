import { endOfString } from '../../../ingest/entries/json-elements.ts';

const INDENT = '  ';
/** Nesting beyond it stays on one line: indented in full, the 100,000 levels that an entry may have would take gigabytes. */
const MAX_INDENTED_DEPTH = 40;

const isSpace = (character: string): boolean =>
  character === ' ' || character === '\n' || character === '\r' || character === '\t';

/**
 * JSON text laid out for people, one member or element a line. Only white space outside of strings changes: numbers, escapes, the
 * order of keys and keys that come twice are as they were. `text` must be valid JSON; never parses it into values.
 */
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
      // The line break of a container belongs to both of its ends.
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
