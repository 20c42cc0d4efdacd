import { quoted, withDuck } from './duckdb.ts';

const MEMORY_MB = 200;

export interface RowsOptions {
  readonly directory: string;
  /** In the SQL of DuckDB. */
  readonly select: readonly string[];
}

/** Hands over all rows of a Parquet file in the order in which they were written, which is that of the position; some at once. */
export const rowsOfParquet = async (
  file: string,
  { directory, select }: RowsOptions,
  take: (rows: readonly (readonly unknown[])[]) => Promise<void>,
): Promise<void> =>
  await withDuck({ memoryMb: MEMORY_MB, directory }, async (connection) => {
    const result = await connection.stream(`select ${select.join(', ')} from read_parquet(${quoted(file)})`);
    for await (const rows of result.yieldRows()) await take(rows);
  });
