import { type BinaryRow, copyOut } from '../postgres/copy.ts';
import type { Pool } from '../postgres/pool.ts';
import { columnsOf, type ObjectKind } from './columns.ts';

/** `2025-03`. */
export type Month = string;

/** Both exclusive. */
export interface Between {
  readonly after: number;
  readonly before: number;
}

const tables: Readonly<Record<ObjectKind, string>> = {
  events: 'audit_events e',
  changes: 'audit_event_changes c join audit_events e on e.position = c.position',
};
const rawOf: Readonly<Record<ObjectKind, string>> = { events: 'e.raw', changes: 'c.raw' };
const orderOf: Readonly<Record<ObjectKind, string>> = { events: 'e.position', changes: 'e.position, c.id' };

/** What is stored as it is need not be read for its size, which has the bytes of its header. */
const sizeOf = (raw: string): string =>
  `case when pg_column_compression(${raw}) is null then pg_column_size(${raw}) else octet_length(${raw}::text) end`;

/** Throws for what is no month, since it stands in SQL as it is. */
const within = (month: Month): string => {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) throw new Error(`${month} is not a month`);
  const begin = `timestamp '${month}-01' at time zone 'UTC'`;
  const end = `(timestamp '${month}-01' + interval '1 month') at time zone 'UTC'`;
  return `e.action_time >= ${begin} and e.action_time < ${end}`;
};

/** The first rows, at least one; those of one position stay together. `bytes`: of their raw texts, or a little more. Undefined: no rows. */
export const nextSpan = async (
  pool: Pool,
  asked: { kind: ObjectKind; month: Month; between: Between; maxRows: number; maxBytes: number },
): Promise<{ readonly lastPosition: number; readonly rows: number; readonly bytes: number } | undefined> => {
  const { kind, month, between, maxRows, maxBytes } = asked;
  const { rows } = await pool.query<{ last: number | null; rows: number; bytes: number }>(
    `select max(position)::float8 as last, count(*)::float8 as rows, max(up_to)::float8 as bytes from (
       select position, sum(bytes) over (order by position) as up_to, min(position) over () as first from (
         select e.position, ${sizeOf(rawOf[kind])} as bytes from ${tables[kind]}
         where ${within(month)} and e.position > $1 and e.position < $2 order by ${orderOf[kind]} limit $3) as rows_of_batch) as summed
     where up_to <= $4 or position = first`,
    [between.after, between.before, maxRows, maxBytes],
  );
  const last = rows[0]?.last ?? null;
  return last === null ? undefined : { lastPosition: last, rows: rows[0]?.rows ?? 0, bytes: rows[0]?.bytes ?? 0 };
};

/** Up to and including a position, with the fields of `columnsOf`. A row is valid until `take` returns. */
export const copyRows = async (
  pool: Pool,
  { kind, month, after, upTo }: { kind: ObjectKind; month: Month; after: number; upTo: number },
  take: (row: BinaryRow) => void,
  signal?: AbortSignal,
): Promise<void> => {
  await copyOut(
    pool,
    `select ${columnsOf[kind].map(({ sql }) => sql).join(', ')} from ${tables[kind]}
     where ${within(month)} and e.position > ${Math.trunc(after)} and e.position <= ${Math.trunc(upTo)} order by ${orderOf[kind]}`,
    take,
    signal,
  );
};
