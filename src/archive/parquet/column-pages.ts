import { zstdDecompressSync } from 'node:zlib';

export interface ColumnPage {
  readonly isDictionary: boolean;
  readonly values: number;
  /** A number of the format Parquet. */
  readonly encoding: number;
  /** Decompressed, in memory of its own. */
  readonly content: () => Buffer;
}

/** That are read here. */
export type PageCodec = 'ZSTD' | 'UNCOMPRESSED';

/** Node.js makes more memory as soon as all is used. */
const SPARE_BYTES = 64;

/** In memory of the right size at once: by default Node.js makes pieces of 16 KiB, and joins them. */
export const decompressZstd = (input: Uint8Array, outputBytes: number): Buffer => {
  const output = zstdDecompressSync(input, { chunkSize: outputBytes + SPARE_BYTES });
  if (output.length !== outputBytes) throw new Error(`a page has ${output.length} bytes, and says ${outputBytes}`);
  return output;
};

const [DATA_PAGE, DICTIONARY_PAGE] = [0, 2];

/** One behind the other. Undefined: a page is of another kind. */
export const pagesOf = (chunk: Buffer, codec: PageCodec): readonly ColumnPage[] | undefined => {
  const pages: ColumnPage[] = [];
  for (let at = 0; at < chunk.length; ) {
    const read = readStruct(chunk, at);
    if (read === undefined) return undefined;
    const { fields, end } = read;
    const [type, size, compressedSize] = [1, 2, 3].map((id) => fields.get(id));
    const isDictionary = type === DICTIONARY_PAGE;
    const header = fields.get(isDictionary ? 7 : 5);
    if ((type !== DATA_PAGE && !isDictionary) || !(header instanceof Map)) return undefined;
    const from = end;
    at = from + Number(compressedSize);
    const compressed = chunk.subarray(from, at);
    if (compressed.length !== Number(compressedSize)) throw new Error('a page ends behind its column');
    pages.push({
      isDictionary,
      values: Number(header.get(1)),
      encoding: Number(header.get(2)),
      content: () => (codec === 'ZSTD' ? decompressZstd(compressed, Number(size)) : Buffer.from(compressed)),
    });
  }
  return pages;
};

type Fields = ReadonlyMap<number, number | boolean | Fields>;

const [TRUE, FALSE, I16, I64, BINARY, STRUCT] = [1, 2, 4, 6, 8, 12];

/** In Thrift's compact protocol: numbers, and structs of them; texts are passed over. Undefined: the struct has something else. */
const readStruct = (bytes: Buffer, start: number): { readonly fields: Fields; readonly end: number } | undefined => {
  const fields = new Map<number, number | boolean | Fields>();
  const cursor = new NumberCursor(bytes, start);
  let id = 0;
  for (;;) {
    const head = bytes.readUInt8(cursor.at);
    const type = head & 0x0f;
    cursor.at += 1;
    if (head === 0) return { fields, end: cursor.at };
    id = head >> 4 === 0 ? cursor.signed() : id + (head >> 4);
    if (type === TRUE || type === FALSE) fields.set(id, type === TRUE);
    else if (type >= I16 && type <= I64) fields.set(id, cursor.signed());
    else if (type === BINARY) cursor.skip(cursor.unsigned());
    else if (type === STRUCT) {
      const inner = readStruct(bytes, cursor.at);
      if (inner === undefined) return undefined;
      cursor.at = inner.end;
      fields.set(id, inner.fields);
    } else return undefined;
  }
};

/** Numbers of variable length, seven bits a byte, as Thrift's compact protocol and Parquet have them. */
export class NumberCursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Exact up to 2^53. Throws a RangeError at the end of the bytes. */
  unsigned(): number {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = this.bytes.readUInt8(this.at);
      this.at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  /** Zigzag: 0, -1, 1, -2, … */
  signed(): number {
    const value = this.unsigned();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
