import { randomUUID } from 'node:crypto';
import { type FormatName, formats } from '../../formats/formats.ts';
import { LargeTexts } from '../../formats/json-line.ts';
import { namedEventOf, positionOf } from '../feed-row.ts';
import { packedRowReader } from './packed-rows.ts';

const LINE_FEED = 10;
/** From here on the texts of a row are written by themselves. */
const LARGE_BYTES = 1_048_576;

/** Packed rows in lent memory, whose lines go behind them. */
export interface FormatJob {
  readonly format: FormatName;
  readonly feedId: string;
  /** On shared memory: what another thread writes to it is seen here. */
  readonly memory: Buffer;
  readonly rowsEnd: number;
  /** Where the lines begin: where the rows end, or at 0 if the line of a single row takes its place. */
  readonly linesStart: number;
  /** Where the first row begins that has no line yet. */
  readonly from: number;
}

/** The lines that had room. */
export interface FormattedPart {
  readonly events: number;
  /** The position of the last of them; 0 without any. */
  readonly until: number;
  /** Where the next row begins: at the end of the rows if all have lines. */
  readonly next: number;
  readonly linesEnd: number;
  /** More than 0 if there was no room for the first line already: what its row and its line need together. */
  readonly lackingBytes: number;
}

/** Writes rows in a format that is made in JavaScript, one line each, until all are written or the memory is full. */
export const formatRows = ({ format, feedId, memory, rowsEnd, linesStart, from }: FormatJob): FormattedPart => {
  const read = packedRowReader(memory);
  const write = formats[format].format;
  let linesEnd = linesStart;
  let next = from;
  let until = 0;
  let events = 0;
  let lackingBytes = 0;
  while (next < rowsEnd) {
    const { row, organizationName, end } = read(next);
    const position = positionOf(row);
    const event = namedEventOf(row, feedId, organizationName);
    const large = end - next > LARGE_BYTES ? new LargeTexts(randomUUID()) : undefined;
    const line = write(event, large);
    const bytes = writeParts(memory, linesEnd, large?.partsOf(line) ?? [line]);
    if (linesEnd + bytes > memory.length) {
      lackingBytes = events === 0 ? end - next + bytes : 0;
      break;
    }
    linesEnd += bytes;
    until = position;
    next = end;
    events += 1;
  }
  return { events, until, next, linesEnd, lackingBytes };
};

/** Writes a line and its end, as long as there is room. Returns how many bytes that takes. */
const writeParts = (memory: Buffer, start: number, parts: Iterable<string>): number => {
  let at = start;
  for (const part of parts) {
    const room = memory.length - at;
    // A UTF-16 unit is at most three bytes: counting them costs as much as writing them.
    const bytes = 3 * part.length > room ? Buffer.byteLength(part) : 0;
    at += bytes > room ? bytes : memory.write(part, at, 'utf8');
  }
  if (at < memory.length) memory[at] = LINE_FEED;
  return at + 1 - start;
};
