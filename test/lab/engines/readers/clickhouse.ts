import { quoted } from '../../../../src/archive/parquet/duckdb.ts';
import type { FileColumn, FileRow } from '../file-rows.ts';
import type { Packages } from '../packages.ts';
import type { EngineReader } from './engine-reader.ts';

/** As far as it is used here. */
interface Chdb {
  readonly Session: new () => { query(sql: string, format?: string): string; close(): void };
}

/** ClickHouse in this process, with a database of its own in memory. */
export interface ClickHouse extends Disposable {
  readonly version: string;
  /** Runs statements that give nothing, one after the other. */
  run(...statements: readonly string[]): void;
  /** The rows of a statement, every value as ClickHouse writes it as JSON. */
  rows(sql: string): readonly (readonly unknown[])[];
}

/** Statements throw what ClickHouse says. */
export const openClickHouse = (packages: Packages): ClickHouse => {
  const { Session } = packages.load<Chdb>('chdb');
  const session = new Session();
  const rows = (sql: string) =>
    session
      .query(sql, 'JSONCompactEachRow')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  return {
    version: String(rows('select version()')[0]?.[0]),
    run: (...statements) => {
      for (const statement of statements) session.query(statement, 'Null');
    },
    rows,
    [Symbol.dispose]: () => session.close(),
  };
};

/** A column in the SQL of ClickHouse, as a FileRow has it. */
export const inClickHouse = ({ name, type }: FileColumn): string => {
  if (type === 'text') return `lower(hex("${name}"))`;
  return `toString(${type === 'time' ? `toUnixTimestamp64Micro("${name}")` : `"${name}"`})`;
};

/** Reads files by `file()`. */
export const clickHouseReader = (clickHouse: ClickHouse): EngineReader => {
  const from = (path: string) => `from file(${quoted(path)}, 'Parquet')`;
  return {
    name: 'ClickHouse',
    version: clickHouse.version,
    rowsOf: async (path, columns) =>
      clickHouse.rows(
        `select ${columns.map(inClickHouse).join(', ')} ${from(path)} settings max_threads = 1, input_format_parquet_preserve_order = 1`,
      ) as readonly FileRow[],
    readAll: async (path) => clickHouse.run(`select * ${from(path)}`),
  };
};
