import { columnExpressions } from '../../ingest/entries/column-expressions.ts';
import { columnSource, type Defect, exactText, shortColumnSource } from '../../ingest/entries/entry.ts';
import { longStatement, type Pool } from '../../postgres/pool.ts';
import { isDataFault } from '../../postgres/sql-state.ts';
import type { Report } from '../verify/report.ts';

/** One statement compares so many positions. */
const POSITIONS_AT_ONCE = 20_000;
/** Of events with defects, whose payload comes here. */
const EVENTS_AT_ONCE = 200;
/** Columns that are younger than the table: events that were stored before have none of them. */
const later: readonly string[] = ['account_id', 'account_name', 'zone_id', 'zone_name'];
const EMPTY = 'that the empty columns of account and zone are what raw says,';

interface Difference {
  readonly position: number;
  /** Columns that hold something else than `raw` says. */
  readonly other: readonly string[];
  /** Whether one of the later columns is empty, and `raw` has a value for it. */
  readonly isEmpty: boolean;
}

/** The columns for which this is true; `value` is what `raw` says. */
const namesOf = (condition: (name: string, value: string) => string): string =>
  `array_remove(array[${columnExpressions
    .map(([name, value]) => `case when ${condition(name, `(${value})`)} then '${name}' end`)
    .join(', ')}], null)`;
const isOther = (name: string, value: string): string =>
  `e.${name} is distinct from ${value}${later.includes(name) ? ` and e.${name} is not null` : ''}`;
const isMissing = (name: string, value: string): string =>
  later.includes(name) ? `e.${name} is null and ${value} is not null` : 'false';

/** `source`: SQL that gives the jsonb from which the columns of `e` were made. */
const differences = (from: string, source: string): string => `
  select position::float8 as position, other, is_empty as "isEmpty" from (
    select e.position,
      ${namesOf(isOther)} as other,
      ${namesOf(isMissing)} <> '{}' as is_empty
    from ${from} cross join lateral (select ${source} as j offset 0) as entry) as compared
  where other <> '{}' or is_empty order by position`;

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

/**
 * Compares the columns beside `raw` of all events up to a position with what `raw` says, by the expressions that filled them. Whether `raw`
 * is what was signed is for the leaves to say.
 */
export const verifyColumns = async (pool: Pool, report: Report, until: number): Promise<void> => {
  let empty = 0;
  const take = (found: readonly Difference[]) => {
    for (const { position, other, isEmpty } of found) {
      if (isEmpty) empty += 1;
      for (const name of other)
        report.fault('column', `column ${name} of event ${position} is not what raw says`, position);
    }
  };
  for (let after = 0; after < until; after += POSITIONS_AT_ONCE) {
    const end = Math.min(until, after + POSITIONS_AT_ONCE);
    await comparePlain(pool, report, [after, end], take);
    await compareDefective(pool, [after, end], take);
  }
  report.claim(['column'], 'the columns beside raw are what raw says');
  if (empty > 0) report.note(`${EMPTY} of ${empty} events: raw names some, and version 0.2 had no such columns`);
};

type Range = readonly [after: number, until: number];
type Take = (found: readonly Difference[]) => void;

/** What PostgreSQL cannot read as jsonb without a defect that says so was put there by another hand. */
const comparePlain = async (pool: Pool, report: Report, [after, until]: Range, take: Take): Promise<void> => {
  try {
    take((await pool.query<Difference>(longStatement(plainEvents, [after, until]))).rows);
  } catch (error) {
    if (!isDataFault(error)) throw error;
    if (until - after === 1) {
      report.fault(
        'column',
        `the columns of event ${until} cannot be compared: raw is no jsonb, and no defect says so`,
        until,
      );
      return;
    }
    const middle = Math.floor((after + until) / 2);
    await comparePlain(pool, report, [after, middle], take);
    await comparePlain(pool, report, [middle, until], take);
  }
};

interface DefectiveRow {
  readonly position: number;
  readonly raw: string;
  readonly defects: readonly Defect[];
}

const compareDefective = async (pool: Pool, [after, until]: Range, take: Take): Promise<void> => {
  for (let from = after; ; ) {
    const { rows } = await pool.query<DefectiveRow>(longStatement(readDefective, [from, until]));
    const given = JSON.stringify(rows.map((row) => ({ position: row.position, source: sourceOf(row) })));
    if (rows.length > 0) take((await pool.query<Difference>(longStatement(defectiveEvents, [given]))).rows);
    if (rows.length < EVENTS_AT_ONCE) return;
    from = rows.at(-1)?.position ?? until;
  }
};

/** What the columns were made of when the event was stored. */
const sourceOf = ({ raw, defects }: DefectiveRow): string => {
  const text = exactText(raw, defects);
  const entry: unknown = JSON.parse(text);
  const short = defects.includes('column_too_long') ? shortColumnSource(entry) : undefined;
  return short ?? columnSource(entry, text, defects);
};
