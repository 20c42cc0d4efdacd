import { columnsOf, FEED_ID, type ObjectKind } from '../../../src/archive/columns.ts';
import type { Pool } from '../../../src/postgres/pool.ts';

/** A row of an object: texts as the hexadecimal digits of their UTF-8, numbers in decimal, times in microseconds since 1970, or null. */
export type FileRow = readonly (string | null)[];

export interface FileColumn {
  readonly name: string;
  readonly type: 'text' | 'number' | 'time';
}

const columnsOfKind = (kind: ObjectKind) => {
  const columns = columnsOf[kind].map(({ name, sql, type, isTime }) => ({
    name,
    sql,
    type: isTime === true ? ('time' as const) : type === 'VARCHAR' ? ('text' as const) : ('number' as const),
  }));
  columns.splice(1, 0, { name: FEED_ID, sql: '(select feed_id from feed_head)', type: 'text' });
  return columns;
};

/** The columns of an object, in the order of the file. */
export const fileColumns = (kind: ObjectKind): readonly FileColumn[] => columnsOfKind(kind);

const inPostgres = {
  text: (sql: string) => `encode(convert_to((${sql})::text, 'UTF8'), 'hex')`,
  number: (sql: string) => `(${sql})::text`,
  time: (sql: string) => `(extract(epoch from ${sql}) * 1000000)::bigint::text`,
};

const rowsOf: Readonly<Record<ObjectKind, string>> = {
  events: 'audit_events e',
  changes: 'audit_event_changes c join audit_events e on e.position = c.position',
};
const orderOf: Readonly<Record<ObjectKind, string>> = { events: 'e.position', changes: 'e.position, c.id' };

/** What the objects of a month must have, by PostgreSQL, in their order. */
export const storedRows = async (pool: Pool, kind: ObjectKind, month: string): Promise<readonly FileRow[]> => {
  const columns = columnsOfKind(kind).map(({ sql, type }) => inPostgres[type](sql));
  const { rows } = await pool.query({
    text: `select ${columns.join(', ')} from ${rowsOf[kind]}
      where to_char(e.action_time at time zone 'UTC', 'YYYY-MM') = $1 order by ${orderOf[kind]}`,
    values: [month],
    rowMode: 'array',
  });
  return rows;
};

/** What is different, in one line; undefined: nothing is. */
export const differenceOf = (
  expected: readonly FileRow[],
  found: readonly FileRow[],
  columns: readonly FileColumn[],
): string | undefined => {
  if (found.length !== expected.length) return `${found.length} rows instead of ${expected.length}`;
  let different = 0;
  let first: string | undefined;
  for (const [at, row] of expected.entries()) {
    const column = columns.findIndex((_, index) => (found[at]?.[index] ?? null) !== row[index]);
    if (column === -1) continue;
    different += 1;
    const name = columns[column]?.name;
    first ??= `position ${row[0]}, ${name}: ${shortened(found[at]?.[column])} instead of ${shortened(row[column])}`;
  }
  return first && `${different} rows are different, the first one at ${first}`;
};

const shortened = (value: string | null | undefined): string =>
  value && value.length > 120 ? `${value.slice(0, 120)}… (${value.length} digits)` : String(value);
