import { type ParquetParsers, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

type Row = Readonly<Record<string, unknown>>;

/** All rows of a Parquet file, by a reader that shares no code with the one that wrote it. */
export const rowsOfParquet = async (bytes: Buffer, parsers?: Partial<ParquetParsers>): Promise<readonly Row[]> => {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  return await parquetReadObjects({ file, compressors, ...(parsers && { parsers }) });
};

/** The same with texts as bytes, and times in microseconds since 1970. */
export const bytesOfParquet = (bytes: Buffer): Promise<readonly Row[]> =>
  rowsOfParquet(bytes, {
    stringFromBytes: (text: Uint8Array): Uint8Array => text,
    timestampFromMicroseconds: (microseconds: bigint): bigint => microseconds,
  });
