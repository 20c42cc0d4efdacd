import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { quoted, withDuck } from '../../../../src/archive/parquet/duckdb.ts';
import { bytesOfParquet } from '../../../support/archive/read-objects.ts';
import type { FileColumn, FileRow } from '../file-rows.ts';
import type { EngineReader } from './engine-reader.ts';

const MEMORY_MB = 1_000;

const packageOf = new URL('../../../../node_modules/hyparquet/package.json', import.meta.url);

/** Another reader that this package has already: in JavaScript alone. */
export const hyparquetReader = async (): Promise<EngineReader> => ({
  name: 'hyparquet',
  version: JSON.parse(await readFile(packageOf, 'utf8')).version,
  rowsOf: async (path, columns) => {
    const rows = await bytesOfParquet(await readFile(path));
    return rows.map((row): FileRow => columns.map(({ name }) => asText(row[name])));
  },
  readAll: async (path) => void (await bytesOfParquet(await readFile(path))),
});

const asText = (value: unknown): string | null => {
  if (value === null || value === undefined) return null;
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value);
};

const inDuck = ({ name, type }: FileColumn): string => {
  if (type === 'text') return `lower(hex(encode("${name}")))`;
  return `${type === 'time' ? `epoch_us("${name}")` : `"${name}"`}::varchar`;
};

/** The engine that writes the archive. */
export const duckReader = async (): Promise<EngineReader> => {
  const ask = (sql: string) =>
    withDuck({ memoryMb: MEMORY_MB, directory: tmpdir() }, async (connection) =>
      (await connection.runAndReadAll(sql)).getRowsJson(),
    );
  const version = String((await ask('select version()'))[0]?.[0]);
  return {
    name: 'DuckDB',
    version,
    rowsOf: async (path, columns) =>
      (await ask(
        `select ${columns.map(inDuck).join(', ')} from read_parquet(${quoted(path)}, hive_partitioning = false)`,
      )) as readonly FileRow[],
    readAll: async (path) => void (await ask(`select max(columns(*)) from read_parquet(${quoted(path)})`)),
  };
};
