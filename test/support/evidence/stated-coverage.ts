import type { Pool } from 'pg';
import { expect } from 'vitest';
import type { CoverageOptions } from '../../../src/evidence/builder/coverage-schedule.ts';
import type { StatementOf } from '../../../src/evidence/journal/statement.ts';
import { readStatement } from '../../../src/evidence/journal/statement-text.ts';
import { FILTERS } from '../postgres/store-fixture.ts';

/** Of every source, whenever the builder looks. */
export const stateAlways: CoverageOptions = {
  filters: [{ kind: 'organization', hash: FILTERS, text: 'action_type=create' }],
  everyMs: 0,
  lookMs: 0,
};
/** Once, unless it is asked for. */
export const stateOnce: CoverageOptions = { ...stateAlways, everyMs: 86_400_000 };

/** The coverage statements that are stored, in order. */
export const coverageStatements = async (pool: Pool): Promise<StatementOf<'coverage'>[]> => {
  const { rows } = await pool.query<{ text: string }>(
    `select text from evidence_journal where kind = 'coverage' order by generation, index`,
  );
  return rows.flatMap(({ text }) => {
    const read = readStatement(text);
    return read.known && read.statement.type === 'coverage' ? [read.statement] : [];
  });
};

/** Positions of events that a statement claims and that stand above the size that it names: for tests without entries that come late. */
const claimedAbove = `
select e.position::float8 as position from audit_events e
where e.source_kind = $1 and e.source_id = $2 and e.position > $3
  and e.action_time <@ (select range_agg(tstzrange((r ->> 0)::timestamptz, (r ->> 1)::timestamptz)) from json_array_elements($4::json) p,
    json_array_elements(p -> 'ranges') r)`;

/**
 * Recomputes from the tables what the statements claim: no event of a claimed time is above the size, counts are those of the events, and
 * nothing is claimed that is not proven.
 */
export const expectTrueStatements = async (
  pool: Pool,
  statements: readonly StatementOf<'coverage'>[],
): Promise<void> => {
  for (const { source_kind: kind, source_id: id, tree, passes, events, filter } of statements) {
    const given = [kind, id, tree.size, JSON.stringify(passes)];
    expect((await pool.query(claimedAbove, given)).rows).toEqual([]);
    const { rows } = await pool.query(
      `select (select count(*) from audit_events where source_kind = $1 and source_id = $2 and position <= $3)::float8 as events,
         coalesce((select bool_and(c.proven @> tstzrange((r ->> 0)::timestamptz, (r ->> 1)::timestamptz))
           from json_array_elements($4::json) p cross join json_array_elements(p -> 'ranges') r
             left join coverage c on c.source_kind = $1 and c.source_id = $2 and c.filter_hash = $5
               and c.pass = (p ->> 'pass')::integer), true) as proven`,
      [...given, filter.hash],
    );
    expect(rows).toEqual([{ events, proven: true }]);
  }
};
