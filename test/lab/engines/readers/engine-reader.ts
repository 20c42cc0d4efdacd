import type { FileColumn, FileRow } from '../file-rows.ts';

/** An engine that reads an object of the archive from a directory. */
export interface EngineReader {
  readonly name: string;
  readonly version: string;
  /** Every row of a file, in the order in which it stands there. */
  rowsOf(path: string, columns: readonly FileColumn[]): Promise<readonly FileRow[]>;
  /** Reads every value of a file and does nothing with it, to be timed. */
  readAll(path: string): Promise<void>;
}
