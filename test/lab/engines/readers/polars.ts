import type { FileRow } from '../file-rows.ts';
import type { Packages } from '../packages.ts';
import type { EngineReader } from './engine-reader.ts';

/** As far as it is used here. */
interface Expression {
  cast(type: unknown): Expression;
  readonly str: { encode(encoding: 'hex'): Expression };
}
interface Frame {
  readonly height: number;
  select(...columns: readonly Expression[]): Frame;
  rows(): readonly (readonly unknown[])[];
}
interface Polars {
  readonly Int64: unknown;
  readonly Utf8: unknown;
  col(name: string): Expression;
  readParquet(path: string): Frame;
}

/** It has a reader of its own, in Rust. */
export const polarsReader = async (packages: Packages): Promise<EngineReader> => {
  const polars = packages.load<Polars>('nodejs-polars');
  return {
    name: 'Polars',
    version: await packages.versionOf('nodejs-polars'),
    rowsOf: async (path, columns) => {
      const shown = columns.map(({ name, type }) => {
        const column = polars.col(name);
        return type === 'text' ? column.str.encode('hex') : column.cast(polars.Int64).cast(polars.Utf8);
      });
      return polars
        .readParquet(path)
        .select(...shown)
        .rows() as readonly FileRow[];
    },
    readAll: async (path) => void polars.readParquet(path).height,
  };
};
