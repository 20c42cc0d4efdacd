import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BinaryRow, copyOut } from '../../postgres/copy.ts';
import type { Pool } from '../../postgres/pool.ts';
import { columnsOf, FEED_ID } from '../columns.ts';
import { quoted, ROWS_OF_GROUP, writeParquet } from '../parquet/parquet.ts';
import { linesOfRows } from '../parquet/rows-to-ndjson.ts';

const FILE_TEXT_BYTES = 128 * 1_048_576;

interface StoredRowsOptions {
  readonly range: TimeRange;
  readonly upTo: number;
  readonly feedId: string;
  readonly directory: string;
  readonly onRows: (rows: number) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** No statement and no lock lasts longer than some thousand rows take, so months can be dropped meanwhile: the catalogue says which ones were. */
export const copyStoredRows = async (pool: Pool, options: StoredRowsOptions) => {
  const files: string[] = [];
  let [rows, after] = [0, 0];
  while (true) {
    const target = join(options.directory, `stored-${files.length}.parquet`);
    const onRows = (more: number) => options.onRows(rows + more);
    const copied = await copyOneFile(pool, target, after, { ...options, onRows });
    if (copied.rows > 0) files.push(target);
    rows += copied.rows;
    if (copied.isEnd) return { files, rows };
    after = copied.lastPosition;
  }
};

const copyOneFile = async (
  pool: Pool,
  target: string,
  begin: number,
  { range, upTo, feedId, directory, onRows, signal }: StoredRowsOptions,
) => {
  const file = join(directory, 'rows.ndjson');
  const descriptor = openSync(file, 'wx', 0o600);
  let [lastPosition, isEnd, rows] = [begin, false, 0];
  const out = linesOfRows(columnsOf.events, descriptor);
  try {
    while (!isEnd && out.bytes() < FILE_TEXT_BYTES) {
      const before = rows;
      const take = (row: BinaryRow): void => {
        lastPosition = Number(row.bytes.readBigInt64BE(row.starts[0] ?? 0));
        out.take(row);
        rows += 1;
      };
      await copyOut(pool, pieceOf(range, lastPosition, upTo), take, signal);
      out.endGroup();
      isEnd = rows - before < ROWS_OF_GROUP;
      await onRows(rows);
    }
  } finally {
    closeSync(descriptor);
  }
  const options = { kind: 'events', feedId, directory, metadata: { feed_id: feedId } } as const;
  if (rows > 0) await writeParquet({ file, ...out.written() }, target, options);
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

/** An entry without a time is at -infinity, which no archived month has and no file can say. */
const sqlOf = ({ name, sql }: (typeof columnsOf.events)[number]): string =>
  name === 'action_time' ? `nullif(${sql}, '-infinity')` : sql;

/** In milliseconds since 1970, `beforeMs` exclusive; undefined: without an end on that side. */
export interface TimeRange {
  readonly sinceMs: number | undefined;
  readonly beforeMs: number | undefined;
}

interface Stretch {
  readonly month: string;
  readonly firstPosition: number;
  readonly lastPosition: number;
}

/** As DuckDB has them, in the order of a Parquet file of the archive. */
const queryColumns: readonly { readonly name: string; readonly type: string }[] = columnsOf.events.flatMap(
  ({ name, type, isTime }, index) => {
    const column = { name, type: isTime === true ? 'TIMESTAMPTZ' : type };
    return index === 0 ? [column, { name: FEED_ID, type: 'VARCHAR' }] : [column];
  },
);

/** Has each event once, none behind `upTo`. The events of `twice` may be both in files of the archive and in those of what was stored. */
export const viewOf = (asked: {
  readonly archived: readonly string[];
  readonly stored: readonly string[];
  readonly range: TimeRange;
  readonly upTo: number;
  readonly twice: readonly Stretch[];
}): string => {
  const { archived, stored, range, upTo, twice } = asked;
  const names = queryColumns.map(({ name }) => `"${name}"`).join(', ');
  const none = `select ${queryColumns.map(({ name, type }) => `null::${type} as "${name}"`).join(', ')} where false`;
  const within = [...timeConditions(range), `position <= ${Math.trunc(upTo)}`];
  const others = twice.map((stretch) => `(${coveredBy(stretch)}) is not true`);
  const parts = [
    { files: archived, conditions: within },
    { files: stored, conditions: [...within, ...others] },
  ].filter(({ files }) => files.length > 0);
  const selects = parts.map(
    ({ files, conditions }) =>
      // Objects of an earlier version have one column more.
      `select ${names} from read_parquet([${files.map(quoted).join(', ')}], union_by_name = true, hive_partitioning = false)
       where ${conditions.join(' and ')}`,
  );
  return [none, ...selects].join(' union all ');
};

export const emptyView = (): string =>
  viewOf({ archived: [], stored: [], range: { sinceMs: undefined, beforeMs: undefined }, upTo: 0, twice: [] });

const instant = (ms: number): string => `make_timestamptz(${Math.trunc(ms * 1_000)})`;

const timeConditions = ({ sinceMs, beforeMs }: TimeRange): string[] => [
  ...(sinceMs === undefined ? [] : [`action_time >= ${instant(sinceMs)}`]),
  // An entry without a time is before all others, as in a search.
  ...(beforeMs === undefined ? [] : [`coalesce(action_time < ${instant(beforeMs)}, true)`]),
];

const coveredBy = ({ month, firstPosition, lastPosition }: Stretch): string => {
  const { beginMs, endMs } = boundsOfMonth(month);
  return `action_time >= ${instant(beginMs)} and action_time < ${instant(endMs)} and position between ${Math.trunc(firstPosition)} and ${Math.trunc(lastPosition)}`;
};

const boundsOfMonth = (month: string): { readonly beginMs: number; readonly endMs: number } => {
  const [year = 0, number = 1] = month.split('-').map(Number);
  return { beginMs: Date.UTC(year, number - 1, 1), endMs: Date.UTC(year, number, 1) };
};

export const meetsRange = (month: string, { sinceMs, beforeMs }: TimeRange): boolean => {
  const { beginMs, endMs } = boundsOfMonth(month);
  return (sinceMs === undefined || endMs > sinceMs) && (beforeMs === undefined || beginMs < beforeMs);
};
