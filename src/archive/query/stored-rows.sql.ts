import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { copyOut } from '../../postgres/copy/copy-out.ts';
import type { Pool } from '../../postgres/pool.ts';
import { columnsOf } from '../columns.ts';
import { ROWS_OF_GROUP, writeParquet } from '../parquet/write-parquet.ts';
import { linesOfRows } from '../writing/lines-of-rows.ts';
import type { TimeRange } from './query-view.ts';

const FILE_TEXT_BYTES = 128 * 1_048_576;

export interface StoredRowsOptions {
  readonly range: TimeRange;
  /** Included. */
  readonly upTo: number;
  readonly feedId: string;
  readonly directory: string;
  /** Called with the number of rows so far. */
  readonly onRows: (rows: number) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

export interface StoredRows {
  /** Parquet, with the columns of the archive. */
  readonly files: readonly string[];
  readonly rows: number;
}

/**
 * Copies the events that PostgreSQL has to files. No statement and no lock lasts for longer than some thousand rows take, so that months can
 * be dropped meanwhile: which ones were dropped the caller sees in the catalogue afterwards.
 */
export const copyStoredRows = async (pool: Pool, options: StoredRowsOptions): Promise<StoredRows> => {
  const files: string[] = [];
  let [rows, after] = [0, 0];
  while (true) {
    const target = join(options.directory, `stored-${files.length}.parquet`);
    const copied = await copyOneFile(pool, target, after, {
      ...options,
      onRows: (more) => options.onRows(rows + more),
    });
    if (copied.rows > 0) files.push(target);
    rows += copied.rows;
    if (copied.isEnd) return { files, rows };
    after = copied.lastPosition;
  }
};

interface CopiedFile {
  readonly rows: number;
  readonly lastPosition: number;
  readonly isEnd: boolean;
}

const copyOneFile = async (
  pool: Pool,
  target: string,
  begin: number,
  { range, upTo, feedId, directory, onRows, signal }: StoredRowsOptions,
): Promise<CopiedFile> => {
  const file = join(directory, 'rows.ndjson');
  const descriptor = openSync(file, 'wx', 0o600);
  let [lastPosition, isEnd, rows] = [begin, false, 0];
  const out = linesOfRows(columnsOf.events, descriptor);
  try {
    while (!isEnd && out.bytes() < FILE_TEXT_BYTES) {
      const before = rows;
      await copyOut(
        pool,
        pieceOf(range, lastPosition, upTo),
        (row) => {
          lastPosition = Number(row.bytes.readBigInt64BE(row.starts[0] ?? 0));
          out.take(row);
          rows += 1;
        },
        signal,
      );
      out.endGroup();
      isEnd = rows - before < ROWS_OF_GROUP;
      await onRows(rows);
    }
  } finally {
    closeSync(descriptor);
  }
  if (rows > 0)
    await writeParquet({ file, ...out.written() }, target, {
      kind: 'events',
      feedId,
      directory,
      metadata: { feed_id: feedId },
    });
  await rm(file);
  return { rows, lastPosition, isEnd };
};

const pieceOf = ({ sinceMs, beforeMs }: TimeRange, after: number, upTo: number): string => {
  const instant = (ms: number) => `timestamptz '${new Date(ms).toISOString()}'`;
  const conditions = [
    `e.position > ${Math.trunc(after)} and e.position <= ${Math.trunc(upTo)}`,
    ...(sinceMs === undefined ? [] : [`e.action_time >= ${instant(sinceMs)}`]),
    ...(beforeMs === undefined ? [] : [`e.action_time < ${instant(beforeMs)}`]),
  ];
  return `select ${columnsOf.events.map(sqlOf).join(', ')} from audit_events e
    where ${conditions.join(' and ')} order by e.position limit ${ROWS_OF_GROUP}`;
};

/** An entry without a time is at -infinity, which no archived month has and no file can say: it becomes null. */
const sqlOf = ({ name, sql }: (typeof columnsOf.events)[number]): string =>
  name === 'action_time' ? `nullif(${sql}, '-infinity')` : sql;
