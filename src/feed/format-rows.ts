import { randomUUID } from 'node:crypto';
import { type FormatName, formats } from '../formats/registry.ts';
import { LargeTexts } from '../formats/text.ts';
import { type BinaryRow, fieldsAt } from '../postgres/copy.ts';
import { type FeedContext, field, namedEventOf, positionOf, textOf } from './feed-row.ts';

const LINE_FEED = 10;
/** The texts of larger rows are written by themselves. */
const LARGE_BYTES = 1_048_576;

export interface FormatJob {
  readonly format: FormatName;
  readonly feedId: string;
  /** Shared: what another thread writes to it is seen here. */
  readonly memory: Buffer;
  readonly rowsEnd: number;
  /** The end of the rows, or 0 if the line of a single row takes its place. */
  readonly linesStart: number;
  readonly from: number;
}

export interface FormattedPart {
  readonly events: number;
  readonly until: number;
  readonly next: number;
  readonly linesEnd: number;
  /** What the first row and its line need together, if there was no room for it; else 0. */
  readonly lackingBytes: number;
}

/** One line a row, until all are written or the memory is full. */
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

/** Writes a line and its end, as far as there is room. Returns how many bytes it takes. */
const writeParts = (memory: Buffer, start: number, parts: Iterable<string>): number => {
  let at = start;
  for (const part of parts) {
    const room = memory.length - at;
    // A UTF-16 unit has three bytes at most: counting them costs as much as writing them.
    const bytes = 3 * part.length > room ? Buffer.byteLength(part) : 0;
    at += bytes > room ? bytes : memory.write(part, at, 'utf8');
  }
  if (at < memory.length) memory[at] = LINE_FEED;
  return at + 1 - start;
};

const FIELDS = Object.keys(field).length + 1;
const organizationName = FIELDS - 1;
const LENGTH_BYTES = 4;

/** Copies rows as COPY sends them, each with the name of its organization: all that a format needs, in one piece. */
export class PackedRows {
  private readonly names: FeedContext['organizationNames'];
  private readonly memory: Buffer;
  private readonly maxBytes: number;
  end = 0;

  /** `maxBytes`: from the beginning of the memory. */
  constructor(names: FeedContext['organizationNames'], memory: Buffer, maxBytes: number) {
    this.names = names;
    this.memory = memory;
    this.maxBytes = maxBytes;
  }

  /** Returns 0, or how many bytes the row takes if there is no room: then nothing is written. */
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

/** Reads the packed row that begins at a place, and says where the next one begins. A row is valid until the next one is read. */
export const packedRowReader = (memory: Buffer) => {
  const starts = new Int32Array(FIELDS);
  const lengths = new Int32Array(FIELDS);
  return (start: number) => {
    const end = fieldsAt(memory, start, starts, lengths);
    const row = { bytes: memory, starts, lengths };
    return { row, organizationName: textOf(row, organizationName), end };
  };
};
