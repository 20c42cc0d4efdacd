import { columnsOf, FEED_ID } from '../columns.ts';
import { quoted } from '../parquet/duckdb.ts';

/** A stretch of time, in milliseconds since 1970; without an end on a side that is undefined. */
export interface TimeRange {
  /** Inclusive. */
  readonly sinceMs: number | undefined;
  /** Exclusive. */
  readonly beforeMs: number | undefined;
}

/** What an object has all events of. */
interface Stretch {
  /** `2024-01`. */
  readonly month: string;
  readonly firstPosition: number;
  readonly lastPosition: number;
}

export interface ViewFiles {
  /** Of the archive. */
  readonly archived: readonly string[];
  /** Of PostgreSQL. */
  readonly stored: readonly string[];
  readonly range: TimeRange;
  /** Nothing behind it belongs to the answer. */
  readonly upTo: number;
  /** Their events were read from PostgreSQL, perhaps, and are in the archive as well. */
  readonly twice: readonly Stretch[];
}

/** Name and type, as DuckDB has them, in the order of a Parquet file of the archive. */
const queryColumns: readonly { readonly name: string; readonly type: string }[] = columnsOf.events.flatMap(
  ({ name, type, isTime }, index) => {
    const column = { name, type: isTime === true ? 'TIMESTAMPTZ' : type };
    return index === 0 ? [column, { name: FEED_ID, type: 'VARCHAR' }] : [column];
  },
);

/** The SQL of a view that has each event once. */
export const viewOf = ({ archived, stored, range, upTo, twice }: ViewFiles): string => {
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
      // Objects of an earlier version have a column more.
      `select ${names} from read_parquet([${files.map(quoted).join(', ')}], union_by_name = true, hive_partitioning = false)
       where ${conditions.join(' and ')}`,
  );
  return [none, ...selects].join(' union all ');
};

/** The empty view, for its columns. */
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

/** Of a month such as `2024-01`. */
const boundsOfMonth = (month: string): { readonly beginMs: number; readonly endMs: number } => {
  const [year = 0, number = 1] = month.split('-').map(Number);
  return { beginMs: Date.UTC(year, number - 1, 1), endMs: Date.UTC(year, number, 1) };
};

export const meetsRange = (month: string, { sinceMs, beforeMs }: TimeRange): boolean => {
  const { beginMs, endMs } = boundsOfMonth(month);
  return (sinceMs === undefined || endMs > sinceMs) && (beforeMs === undefined || beginMs < beforeMs);
};
