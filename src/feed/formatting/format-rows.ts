import { type FormatName, formats } from '../../formats/formats.ts';
import { namedEventOf, positionOf } from '../feed-row.ts';
import { packedRowReader } from './packed-rows.ts';

/** Packed rows in lent memory, whose lines go behind them. */
export interface FormatJob {
  readonly format: FormatName;
  readonly feedId: string;
  /** On shared memory: what another thread writes to it is seen here. */
  readonly memory: Buffer;
  /** Where the rows end, and the lines begin. */
  readonly rowsEnd: number;
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
export const formatRows = ({ format, feedId, memory, rowsEnd, from }: FormatJob): FormattedPart => {
  const read = packedRowReader(memory);
  const write = formats[format].format;
  let linesEnd = rowsEnd;
  let next = from;
  let until = 0;
  let events = 0;
  let lackingBytes = 0;
  while (next < rowsEnd) {
    const { row, organizationName, end } = read(next);
    const line = `${write(namedEventOf(row, feedId, organizationName))}\n`;
    const room = memory.length - linesEnd;
    // A UTF-16 unit is at most three bytes: counting them costs as much as writing them.
    const bytes = 3 * line.length > room ? Buffer.byteLength(line) : 0;
    if (bytes > room) {
      lackingBytes = events === 0 ? end - next + bytes : 0;
      break;
    }
    linesEnd += memory.write(line, linesEnd, 'utf8');
    until = positionOf(row);
    next = end;
    events += 1;
  }
  return { events, until, next, linesEnd, lackingBytes };
};
