import type { Pool } from 'pg';
import { type Coverage, toMultirange } from '../../../src/ingest/planning/coverage.ts';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { FILTERS } from '../postgres/store-fixture.ts';

/** As version 0.1 left it in the database: each pass covered, of the future too, and not proven. */
export const claimAsVersion01 = async (pool: Pool, { kind, id }: Lease, claims: readonly Coverage[]): Promise<void> => {
  for (const [pass, ranges] of claims.entries()) {
    await pool.query(
      'insert into coverage (source_kind, source_id, filter_hash, pass, ranges) values ($1, $2, $3, $4, $5)',
      [kind, id, FILTERS, pass, toMultirange(ranges)],
    );
  }
};
