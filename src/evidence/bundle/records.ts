import { EvidenceFault, HASH_BYTES, uint16, uint32 } from '../bytes.ts';

/* Chapter 6 of FORMAT.txt: leaves as records, in the order of the tree. */

export type LeafRecord =
  /** An event with its content. */
  | { readonly kind: 'E'; readonly leaf: Buffer; readonly raw: Buffer }
  | { readonly kind: 'L'; readonly leaf: Buffer }
  /** An event that was dropped. */
  | { readonly kind: 'D'; readonly number: number; readonly hash: Buffer }
  /** The root of 2^height leaves. */
  | { readonly kind: 'S'; readonly height: number; readonly hash: Buffer }
  /** No leaf: a later content of the event before. */
  | { readonly kind: 'C'; readonly raw: Buffer };

/** Of a leaf, a statement, a line. */
export const MAX_DATA_BYTES = 65_000;
const MAX_RAW_BYTES = 67_108_864;
const MAX_HEIGHT = 47;
/** The length of raw and its hash, at the end of the leaf. */
const RAW_FACTS_BYTES = 4 + HASH_BYTES;

const tagOf = (kind: LeafRecord['kind']): Buffer => Buffer.from(kind);
const tags = { E: tagOf('E'), L: tagOf('L'), D: tagOf('D'), S: tagOf('S'), C: tagOf('C') };

export const writeRecord = (record: LeafRecord): Buffer => {
  const tag = tags[record.kind];
  switch (record.kind) {
    case 'E':
      return Buffer.concat([tag, uint16(record.leaf.length), record.leaf, record.raw]);
    case 'L':
      return Buffer.concat([tag, uint16(record.leaf.length), record.leaf]);
    case 'D':
      return Buffer.concat([tag, uint32(record.number), record.hash]);
    case 'S':
      return Buffer.concat([tag, Buffer.of(record.height), record.hash]);
    case 'C':
      return Buffer.concat([tag, uint32(record.raw.length), record.raw]);
  }
};

/** Reads a file of records in pieces: a file may be larger than memory, a record is not. */
export class RecordSplitter {
  /** Unread bytes from `#start` to `#end`, in one buffer: one for each piece would cost more than the hashes. */
  #room = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** The record at `#start` has at least so many bytes. */
  #needed = 1;

  /** The records that end in this piece: views, valid until the next call. */
  *push(piece: Uint8Array): Generator<LeafRecord> {
    this.#append(piece);
    if (this.#end - this.#start < this.#needed) return;
    const bytes = this.#room.subarray(0, this.#end);
    for (;;) {
      const length = leastLength(bytes, this.#start);
      const start = this.#start;
      if (start + length > bytes.length) {
        this.#needed = length;
        return;
      }
      this.#start += length;
      yield recordAt(bytes, start, this.#start);
    }
  }

  /** Throws an EvidenceFault if the last record is cut. */
  end(): void {
    if (this.#end > this.#start) throw new EvidenceFault('is cut off within a record');
  }

  #append(piece: Uint8Array): void {
    const rest = this.#end - this.#start;
    const target = rest + piece.length > this.#room.length ? Buffer.alloc(2 * (rest + piece.length)) : this.#room;
    this.#room.copy(target, 0, this.#start, this.#end);
    target.set(piece, rest);
    this.#room = target;
    this.#start = 0;
    this.#end = rest + piece.length;
  }
}

/** Exact once the lengths are there. */
const leastLength = (bytes: Buffer, at: number): number => {
  const has = bytes.length - at;
  if (has < 1) return 1;
  const kind = bytes[at];
  if (kind === 0x44) return 1 + 4 + HASH_BYTES;
  if (kind === 0x53) return 1 + 1 + HASH_BYTES;
  if (kind === 0x43) return has < 5 ? 5 : 5 + rawLength(bytes, at + 1);
  if (kind !== 0x45 && kind !== 0x4c) throw new EvidenceFault('has a record of no known kind');
  if (has < 3) return 3;
  const end = 3 + bytes.readUInt16BE(at + 1);
  if (end - 3 > MAX_DATA_BYTES) throw new EvidenceFault('has a leaf that is longer than one can be');
  if (kind === 0x4c) return end;
  if (end < 3 + RAW_FACTS_BYTES) throw new EvidenceFault('has a leaf that is cut off');
  return has < end ? end : end + rawLength(bytes, at + end - RAW_FACTS_BYTES);
};

/** The length alone must not cost memory. Entries have some kilobytes. */
const rawLength = (bytes: Buffer, at: number): number => {
  const length = bytes.readUInt32BE(at);
  if (length > MAX_RAW_BYTES) throw new EvidenceFault('has content that is longer than it can be');
  return length;
};

const recordAt = (bytes: Buffer, at: number, end: number): LeafRecord => {
  switch (bytes[at]) {
    case 0x44:
      return { kind: 'D', number: bytes.readUInt32BE(at + 1), hash: bytes.subarray(at + 5, end) };
    case 0x53: {
      const height = bytes[at + 1] ?? 0;
      if (height > MAX_HEIGHT) throw new EvidenceFault('has the root of more leaves than a tree can have');
      return { kind: 'S', height, hash: bytes.subarray(at + 2, end) };
    }
    case 0x43:
      return { kind: 'C', raw: bytes.subarray(at + 5, end) };
    case 0x4c:
      return { kind: 'L', leaf: bytes.subarray(at + 3, end) };
    default: {
      const leafEnd = at + 3 + bytes.readUInt16BE(at + 1);
      return { kind: 'E', leaf: bytes.subarray(at + 3, leafEnd), raw: bytes.subarray(leafEnd, end) };
    }
  }
};
