import { closeSync, openSync } from 'node:fs';
import { columnsOf, type ObjectKind } from '../columns.ts';
import { type Between, copyRows, type Month, nextSpan } from '../month-rows.sql.ts';
import { type LinesFile, ROWS_OF_GROUP } from '../parquet/write-parquet.ts';
import type { ArchiveContext, ObjectLimits } from '../ports.ts';
import { linesOfRows } from './lines-of-rows.ts';

/** The first rows between two positions, as many as an object has. */
export interface Wanted {
  readonly kind: ObjectKind;
  readonly month: Month;
  readonly between: Between;
  readonly limits: ObjectLimits;
}

/** The lines of an object, and which rows they are. */
export interface ObjectLines extends LinesFile {
  readonly kind: ObjectKind;
  readonly month: Month;
  readonly rows: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
}

/** Writes the rows into a file, which must not be there yet. Undefined: there are none. */
export const writeLines = async (
  { pool }: ArchiveContext,
  { kind, month, between, limits }: Wanted,
  file: string,
  signal?: AbortSignal,
): Promise<ObjectLines | undefined> => {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    const out = linesOfRows(columnsOf[kind], descriptor);
    let [rows, after] = [0, between.after];
    while (rows < limits.maxRows && out.bytes() < limits.maxTextBytes) {
      const [maxRows, maxBytes] = [Math.min(ROWS_OF_GROUP, limits.maxRows - rows), limits.maxTextBytes - out.bytes()];
      const span = await nextSpan(pool, { kind, month, between: { after, before: between.before }, maxRows, maxBytes });
      if (span === undefined || (rows > 0 && span.bytes > maxBytes)) break;
      await copyRows(pool, { kind, month, after, upTo: span.lastPosition }, out.take, signal);
      out.endGroup();
      rows += span.rows;
      after = span.lastPosition;
    }
    out.endGroup();
    return rows === 0 ? undefined : { file, kind, month, ...out.written(), lastPosition: after };
  } finally {
    closeSync(descriptor);
  }
};
