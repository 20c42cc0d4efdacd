import { randomUUID } from 'node:crypto';
import { type FormatName, formats } from '../formats/registry.ts';
import { LargeTexts } from '../formats/text.ts';
import { type BinaryRow, fieldsAt } from '../postgres/copy.ts';
import { type FeedContext, field, namedEventOf, positionOf, textOf } from './feed-row.ts';

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

/** The fields of the feed, and behind them the name of the organization. */
const FIELDS = Object.keys(field).length + 1;
const organizationName = FIELDS - 1;
const LENGTH_BYTES = 4;

/** Copies rows into lent memory, as COPY sends them, each with the name of its organization: all that a format needs, in one piece. */
export class PackedRows {
  private readonly names: FeedContext['organizationNames'];
  private readonly memory: Buffer;
  private readonly maxBytes: number;
  /** How far the memory is filled. */
  end = 0;

  /** Rows take up to `maxBytes` of the memory, from its beginning. */
  constructor(names: FeedContext['organizationNames'], memory: Buffer, maxBytes: number) {
    this.names = names;
    this.memory = memory;
    this.maxBytes = maxBytes;
  }

  /** Appends a row. 0, or how many bytes it takes, if there is no room: then nothing is written. */
  add(row: BinaryRow): number {
    const { memory } = this;
    const start = (row.starts[0] ?? 0) - LENGTH_BYTES;
    const end = (row.starts[field.raw] ?? 0) + Math.max(0, row.lengths[field.raw] ?? 0);
    const name = this.names.get(textOf(row, field.organizationId) ?? '') ?? null;
    const nameBytes = name === null ? 0 : Buffer.byteLength(name);
    const bytes = end - start + LENGTH_BYTES + nameBytes;
    if (this.end + bytes > this.maxBytes) return bytes;
    this.end += row.bytes.copy(memory, this.end, start, end);
    this.end = memory.writeInt32BE(name === null ? -1 : nameBytes, this.end);
    if (name !== null) this.end += memory.write(name, this.end, 'utf8');
    return 0;
  }
}

/** One packed row: valid until the next one is read. */
interface PackedRow {
  readonly row: BinaryRow;
  readonly organizationName: string | null;
  /** Where the next one begins. */
  readonly end: number;
}

/** Reads packed rows back, each by where it begins. */
export const packedRowReader = (memory: Buffer): ((start: number) => PackedRow) => {
  const starts = new Int32Array(FIELDS);
  const lengths = new Int32Array(FIELDS);
  return (start) => {
    const end = fieldsAt(memory, start, starts, lengths);
    const row = { bytes: memory, starts, lengths };
    return { row, organizationName: textOf(row, organizationName), end };
  };
};
