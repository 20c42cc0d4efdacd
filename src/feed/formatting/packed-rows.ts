import { type BinaryRow, fieldsAt } from '../../postgres/copy/binary-row.ts';
import { type FeedContext, field, textOf } from '../feed-row.ts';

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
export interface PackedRow {
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
