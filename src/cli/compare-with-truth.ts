import type { Pool } from 'pg';
import { MAX_ID_LENGTH, textDefects } from '../domain/entry.ts';
import type { Simulator } from '../simulator/simulator-interface.ts';
import { leftOut } from '../store/position-jumps.ts';

/** How the store compares with what the simulator served. Complete, once each, to the byte: all four counts are 0. */
export interface Comparison {
  readonly organizationsExpected: number;
  readonly organizationsStored: number;
  readonly expected: number;
  readonly stored: number;
  readonly missing: number;
  /** Stored, but nothing that the simulator ever served. */
  readonly extra: number;
  /** Stored more than once. */
  readonly duplicates: number;
  /** Positions that were given out and that no event has. */
  readonly positionsMissing: number;
}

export const isExact = (comparison: Comparison): boolean =>
  comparison.missing + comparison.extra + comparison.duplicates + comparison.positionsMissing === 0 &&
  comparison.organizationsExpected === comparison.organizationsStored;

/** Compares by organization and SHA-256 of the exact text. Used by `demo` and by the tests. */
export const compareWithTruth = async (
  pool: Pool,
  simulator: Pick<Simulator, 'truth' | 'summary'>,
): Promise<Comparison> => {
  const expected = new Map<string, string | null>();
  for (const entry of simulator.truth()) expected.set(`${entry.organizationId} ${entry.sha256}`, entry.id);
  const { rows } = await pool.query<{ key: string; id: string; copies: number }>(
    `select organization_id || ' ' || encode(sha256(convert_to(
         case when defects && $1 then raw #>> '{}' else raw::text end, 'UTF8')), 'hex') as key,
       min(id) as id, count(*)::integer as copies
     from audit_events group by 1`,
    [[...textDefects]],
  );
  let extra = 0;
  let duplicates = 0;
  let matched = 0;
  for (const { key, id, copies } of rows) {
    const expectedId = expected.get(key);
    // Where there is no usable id, or one too long for an index, a hash stands for it.
    const hashed = expectedId === null || (expectedId !== undefined && expectedId.length > MAX_ID_LENGTH);
    const same = expectedId === id || (hashed && id.startsWith('sha256:'));
    if (expectedId !== undefined && same) matched += 1;
    else extra += 1;
    duplicates += copies - 1;
  }
  const totals = await pool.query<{ organizations: number; stored: number; head: number }>(
    `select (select count(*) from organizations where state <> 'gone')::integer as organizations,
       (select count(*) from audit_events)::integer as stored,
       (select position - ${leftOut('0', 'position')} from feed_head)::float8 as head`,
  );
  const { organizations, stored, head } = totals.rows[0] ?? { organizations: 0, stored: 0, head: 0 };
  return {
    organizationsExpected: simulator.summary().organizations.length,
    organizationsStored: organizations,
    expected: expected.size,
    stored,
    missing: expected.size - matched,
    extra,
    duplicates,
    positionsMissing: head - stored,
  };
};
