import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** All rows of a Parquet file, by a reader that shares no code with the one that wrote it. */
export const rowsOfParquet = async (bytes: Buffer): Promise<readonly Readonly<Record<string, unknown>>[]> => {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  return await parquetReadObjects({ file, compressors });
};

/** The same with texts as bytes, and times in microseconds since 1970. */
export const bytesOfParquet = async (bytes: Buffer): Promise<readonly Readonly<Record<string, unknown>>[]> => {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const parsers = {
    stringFromBytes: (text: Uint8Array): Uint8Array => text,
    timestampFromMicroseconds: (microseconds: bigint): bigint => microseconds,
  };
  return await parquetReadObjects({ file, compressors, parsers });
};
