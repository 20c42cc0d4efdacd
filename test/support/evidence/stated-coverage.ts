import type { Pool } from 'pg';
import { expect } from 'vitest';
import { statementOf } from '../../../src/evidence/append/keys-in-force.ts';
import type { CoverageOptions } from '../../../src/evidence/builder/coverage-schedule.ts';
import { leavesOf } from '../../../src/evidence/builder/read-due.sql.ts';
import type { StatementOf } from '../../../src/evidence/journal/statement.ts';
import type { ClaimedReads } from '../../../src/ingest/planning/source.ts';
import { FILTERS } from '../postgres/store-fixture.ts';

/** Of every source, whenever the builder looks. */
export const stateAlways: CoverageOptions = {
  filters: [{ kind: 'organization', hash: FILTERS, text: 'action_type=create' }],
  everyMs: 0,
  lookMs: 0,
};

/** The requests of a walk over this window, answered at its end or later. */
export const readsOf = (fromMs: number, toMs: number, dateMs = toMs): ClaimedReads => ({
  window: { fromMs, toMs },
  pages: 1,
  entries: 1,
  answers: {
    count: 1,
    firstDateMs: dateMs,
    firstCfRay: '8f1c',
    lastDateMs: dateMs,
    lastCfRay: '8f1c',
    sha256: 'ab'.repeat(32),
  },
});

export type StatedCoverage = StatementOf<'coverage'> & { readonly sourceId: string };

/** The coverage statements that are stored, in order. */
export const coverageStatements = async (pool: Pool): Promise<StatedCoverage[]> => {
  const { rows } = await pool.query<{ id: string; text: string }>(
    `select s.id, t.text from evidence_statements t join evidence_sources s on s.number = t.source where t.type = 'coverage' order by t.index`,
  );
  return rows.flatMap(({ id, text }) => {
    const statement = statementOf(text);
    return statement?.type === 'coverage' ? [{ ...statement, sourceId: id }] : [];
  });
};

/** No event of a claimed time has a leaf above the statement, or none yet: for tests without entries that come late. */
export const expectTrueStatements = async (pool: Pool, statements: readonly StatedCoverage[]): Promise<void> => {
  const { rows: tiles } = await pool.query<{ n: number; positions: Buffer; sources: Buffer }>(
    'select n::float8 as n, positions, sources from evidence_tiles where level = 0 order by n',
  );
  const leaves = tiles.flatMap(leavesOf);
  for (const { index, sourceId, read } of statements) {
    const below = leaves.slice(0, index).map(({ position }) => position);
    const { rows } = await pool.query(
      `select e.position from audit_events e where e.source_id = $1 and e.position > $2
         and e.action_time <@ (select range_agg(tstzrange((r ->> 0)::timestamptz, (r ->> 1)::timestamptz)) from json_array_elements($3::json) r)`,
      [sourceId, Math.max(0, ...below), JSON.stringify(read)],
    );
    expect(rows).toEqual([]);
  }
};
