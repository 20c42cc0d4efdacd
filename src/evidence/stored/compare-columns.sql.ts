import type { Pool } from 'pg';
import {
  columnExpressions,
  columnSource,
  type Defect,
  exactText,
  shortColumnSource,
} from '../../ingest/entries/entry.ts';
import { longStatement } from '../../postgres/pool.ts';
import { isDataFault } from '../../postgres/sql-state.ts';

/** Positions of one statement, which has a minute. */
const POSITIONS_AT_ONCE = 20_000n;
/** With defects: their payload comes here. */
const EVENTS_AT_ONCE = 200;
/** Younger than the table: empty in events that were stored before. */
const later: readonly string[] = ['account_id', 'account_name', 'zone_id', 'zone_name'];

interface Difference {
  readonly position: number;
  readonly other: readonly string[];
}

/** `value` is what `raw` says. */
const namesOf = (condition: (name: string, value: string) => string): string =>
  `array_remove(array[${columnExpressions
    .map(([name, value]) => `case when ${condition(name, storedValue(name, value))} then '${name}' end`)
    .join(', ')}], null)`;
/** The log of an account is about that account, whatever an entry leaves out: orgtrail_commit_page_2. */
const storedValue = (name: string, value: string): string =>
  name === 'account_id'
    ? `coalesce((${value}), case when e.source_kind = 'account' then e.source_id end)`
    : `(${value})`;
const isOther = (name: string, value: string): string =>
  `e.${name} is distinct from ${value}${later.includes(name) ? ` and e.${name} is not null` : ''}`;

/** `source`: the jsonb from which the columns of `e` were made. */
const differences = (from: string, source: string): string => `
  select position::float8 as position, other from (
    select e.position, ${namesOf(isOther)} as other
    from ${from} cross join lateral (select ${source} as j offset 0) as entry) as compared
  where other <> '{}' order by position`;

const plainEvents = differences(
  '(select * from audit_events where position > $1 and position <= $2 and defects is null) as e',
  'e.raw::jsonb',
);
const readDefective = `select position::float8 as position, raw::text as raw, defects from audit_events
  where position > $1 and position <= $2 and defects is not null order by position limit ${EVENTS_AT_ONCE}`;
const defectiveEvents = differences(
  `json_to_recordset($1::json) as given (position bigint, source text) join audit_events e on e.position = given.position`,
  'given.source::jsonb',
);

/** Columns of events (after, until] that are not what `raw` says, by the expressions that filled them. That `raw` is what was signed is for the leaves to say. */
export const compareColumns = async (
  pool: Pool,
  after: bigint | number,
  until: bigint | number,
): Promise<readonly string[]> => {
  const faults: string[] = [];
  const take = (found: readonly Difference[]) => {
    for (const { position, other } of found)
      for (const name of other) faults.push(`column ${name} of event ${position} is not what raw says`);
  };
  // Positions may have gaps of millions.
  for (let from = BigInt(after); ; ) {
    const { rows } = await pool.query<{ end: string | null }>(
      'select max(position)::text as end from (select position from audit_events where position > $1 and position <= $2 order by position limit $3) e',
      [String(from), String(until), String(POSITIONS_AT_ONCE)],
    );
    const end = rows[0]?.end;
    if (end === null || end === undefined) return faults;
    await compareStored(pool, [from, BigInt(end)], faults, take);
    await compareDefective(pool, [from, BigInt(end)], take);
    from = BigInt(end);
  }
};

type Range = readonly [after: bigint, until: bigint];
type Take = (found: readonly Difference[]) => void;

/** What is no jsonb, without a defect that says so, was put there by another hand. */
const compareStored = async (pool: Pool, [after, until]: Range, faults: string[], take: Take): Promise<void> => {
  try {
    take((await pool.query<Difference>(longStatement(plainEvents, [String(after), String(until)]))).rows);
  } catch (error) {
    if (!isDataFault(error)) throw error;
    if (until - after === 1n) {
      faults.push(`the columns of event ${until} cannot be compared: raw is no jsonb, and no defect says so`);
      return;
    }
    const middle = after + (until - after) / 2n;
    await compareStored(pool, [after, middle], faults, take);
    await compareStored(pool, [middle, until], faults, take);
  }
};

interface DefectiveRow {
  readonly position: number;
  readonly raw: string;
  readonly defects: readonly Defect[];
}

const compareDefective = async (pool: Pool, [after, until]: Range, take: Take): Promise<void> => {
  for (let from = after; ; ) {
    const { rows } = await pool.query<DefectiveRow>(longStatement(readDefective, [String(from), String(until)]));
    const given = JSON.stringify(rows.map((row) => ({ position: row.position, source: sourceOf(row) })));
    if (rows.length > 0) take((await pool.query<Difference>(longStatement(defectiveEvents, [given]))).rows);
    if (rows.length < EVENTS_AT_ONCE) return;
    from = BigInt(rows.at(-1)?.position ?? until);
  }
};

/** When the event was stored. */
const sourceOf = ({ raw, defects }: DefectiveRow): string => {
  const text = exactText(raw, defects);
  const entry: unknown = JSON.parse(text);
  const short = defects.includes('column_too_long') ? shortColumnSource(entry) : undefined;
  return short ?? columnSource(entry, text, defects);
};
