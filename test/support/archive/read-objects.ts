import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** All rows of a Parquet file, by a reader that shares no code with the one that wrote it. */
export const rowsOfParquet = async (bytes: Buffer): Promise<readonly Readonly<Record<string, unknown>>[]> => {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  return await parquetReadObjects({ file, compressors });
};
