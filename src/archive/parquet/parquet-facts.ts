import { hashedOf, type ObjectKind, orderOf } from '../columns.ts';
import type { StretchFacts } from '../facts.ts';
import { quoted, withDuck } from './duckdb.ts';

const MEMORY_MB = 120;
/** Its three hashes, as texts that wait to be joined. */
const BYTES_OF_ROW = 136;

export interface ReadOptions {
  readonly kind: ObjectKind;
  /** How many rows it has, or should have. */
  readonly events: number;
  readonly directory: string;
  /** What the largest row needs beside that. */
  readonly moreMemoryMb?: number;
}

/** Reads all of a Parquet file, row by row. Rejects if it is none, or has other columns. */
export const factsOfParquet = async (file: string, options: ReadOptions): Promise<StretchFacts> => {
  const { ids, columns } = hashedOf[options.kind];
  const order = orderOf[options.kind];
  const lines = (value: string) => `sha256(string_agg(${value}, chr(10) order by ${order}))`;
  const memoryMb = MEMORY_MB + Math.ceil((options.events * BYTES_OF_ROW) / 1_000_000) + (options.moreMemoryMb ?? 0);
  return await withDuck({ memoryMb, directory: options.directory }, async (connection) => {
    const reader = await connection.runAndReadAll(
      `with hashed as materialized (
         select position${options.kind === 'changes' ? ', change_id' : ''}, ${ids} as ids, sha256(raw) as raw_sha,
           sha256(concat_ws(chr(31), ${columns})) as columns_sha from read_parquet(${quoted(file)}))
       select count(*)::double, min(position)::double, max(position)::double,
         ${lines('ids')}, ${lines('raw_sha')}, ${lines('columns_sha')} from hashed`,
    );
    const [events, firstPosition, lastPosition, idsSha256, rawSha256, columnsSha256] = reader.getRows()[0] ?? [];
    return {
      events: Number(events ?? 0),
      firstPosition: Number(firstPosition ?? 0),
      lastPosition: Number(lastPosition ?? 0),
      idsSha256: String(idsSha256),
      rawSha256: String(rawSha256),
      columnsSha256: String(columnsSha256),
    };
  });
};
