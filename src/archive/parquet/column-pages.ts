import { zstdDecompressSync } from 'node:zlib';

/** A page of a column of a row group. */
export interface ColumnPage {
  readonly isDictionary: boolean;
  readonly values: number;
  /** By its number in the format Parquet. */
  readonly encoding: number;
  /** Decompresses it, into memory of its own. */
  readonly content: () => Buffer;
}

/** In what a page may be compressed here. */
export type PageCodec = 'ZSTD' | 'UNCOMPRESSED';

/** What Node.js has beyond the size: it makes more memory as soon as all is used. */
const SPARE_BYTES = 64;

/** Into memory of the right size at once: by itself Node.js makes pieces of 16 KiB, and joins them. */
export const decompressZstd = (input: Uint8Array, outputBytes: number): Buffer => {
  const output = zstdDecompressSync(input, { chunkSize: outputBytes + SPARE_BYTES });
  if (output.length !== outputBytes) throw new Error(`a page has ${output.length} bytes, and says ${outputBytes}`);
  return output;
};

const [DATA_PAGE, DICTIONARY_PAGE] = [0, 2];

/** The pages of a column, one behind the other. Undefined: one of them is of another kind. */
export const pagesOf = (chunk: Buffer, codec: PageCodec): readonly ColumnPage[] | undefined => {
  const pages: ColumnPage[] = [];
  for (let at = 0; at < chunk.length; ) {
    const { fields, end } = readStruct(chunk, at);
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

type Fields = ReadonlyMap<number, number | boolean | Fields | undefined>;

const [TRUE, FALSE, BYTE, I64, BINARY, STRUCT] = [1, 2, 3, 6, 8, 12];

/** A struct in Thrift's compact protocol: numbers, and structs of them; texts are passed over. */
const readStruct = (bytes: Buffer, start: number): { readonly fields: Fields; readonly end: number } => {
  const fields = new Map<number, number | boolean | Fields | undefined>();
  let [at, id] = [start, 0];
  const number = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes.readUInt8(at);
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
  };
  const signed = (): number => {
    const value = number();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  };
  const fieldOf = (type: number): number | boolean | Fields | undefined => {
    if (type === TRUE || type === FALSE) return type === TRUE;
    if (type > BYTE && type <= I64) return signed();
    if (type === BINARY) {
      at += number();
      return undefined;
    }
    if (type !== STRUCT) throw new Error(`the header of a page has a field of type ${type}`);
    const inner = readStruct(bytes, at);
    at = inner.end;
    return inner.fields;
  };
  for (;;) {
    const head = bytes.readUInt8(at);
    at += 1;
    if (head === 0) return { fields, end: at };
    id = head >> 4 === 0 ? signed() : id + (head >> 4);
    fields.set(id, fieldOf(head & 0x0f));
  }
};
