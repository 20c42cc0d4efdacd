import { readFile } from 'node:fs/promises';
import type { FileColumn, FileRow } from '../file-rows.ts';
import type { Packages } from '../packages.ts';
import type { EngineReader } from './engine-reader.ts';

interface ParquetWasm {
  readParquet(bytes: Uint8Array): { intoIPCStream(): Uint8Array };
}

/** As far as it is used here. */
interface ArrowData {
  readonly length: number;
  readonly values: ArrayLike<bigint | number> & Uint8Array;
  readonly valueOffsets: Int32Array;
  getValid(index: number): boolean;
}
interface ArrowTable {
  readonly numRows: number;
  getChild(name: string): { readonly data: readonly ArrowData[] } | null;
}
interface Arrow {
  tableFromIPC(bytes: Uint8Array): ArrowTable;
}

/** The reader of the Rust implementation of Arrow, which DataFusion and R2 SQL use, in WebAssembly. */
export const arrowReader = async (packages: Packages): Promise<EngineReader> => {
  const { readParquet } = packages.load<ParquetWasm>('parquet-wasm');
  const { tableFromIPC } = packages.load<Arrow>('apache-arrow');
  const read = async (path: string) => tableFromIPC(readParquet(await readFile(path)).intoIPCStream());
  return {
    name: 'Arrow in Rust (`parquet-wasm`)',
    version: await packages.versionOf('parquet-wasm'),
    rowsOf: async (path, columns) => {
      const table = await read(path);
      const values = columns.map((column) => valuesOf(table, column));
      return Array.from({ length: table.numRows }, (_, row): FileRow => values.map((of) => of[row] ?? null));
    },
    readAll: async (path) => void (await read(path)),
  };
};

const valuesOf = (table: ArrowTable, { name, type }: FileColumn): readonly (string | null)[] => {
  const column = table.getChild(name);
  if (column === null) throw new Error(`it finds no column ${name}`);
  return column.data.flatMap((data) =>
    Array.from({ length: data.length }, (_, row) => {
      if (!data.getValid(row)) return null;
      if (type !== 'text') return String(data.values[row]);
      return Buffer.from(data.values.subarray(data.valueOffsets[row], data.valueOffsets[row + 1])).toString('hex');
    }),
  );
};
