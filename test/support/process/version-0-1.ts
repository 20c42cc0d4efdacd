import type { Pool } from 'pg';
import { type Coverage, toMultirange } from '../../../src/ingest/planning/coverage.ts';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { FILTERS, LEASE_MS } from '../postgres/store-fixture.ts';

/** The parameters of its function that hold the page: an empty one. */
const PAGE_ARRAYS = 23;

/** What a replica of version 0.1 does on this database during an upgrade: ends a walk with an empty page, and claims what it takes for read. */
export const claimAsVersion01 = async (pool: Pool, lease: Lease, claims: readonly Coverage[]): Promise<Lease> => {
  const passes = claims.map((_, pass) => pass);
  const noWalk = Array<null>(13).fill(null);
  const noPage = [...Array.from({ length: PAGE_ARRAYS }, () => []), []];
  const parameters = [
    lease.kind,
    lease.id,
    lease.organizationId,
    lease.epoch,
    lease.owner,
    lease.commitSeq,
    LEASE_MS,
    'live',
    FILTERS,
    null,
    null,
    null,
    passes,
    claims.map(toMultirange),
    '-infinity',
    'infinity',
    ...noWalk,
    ...noPage,
  ];
  const { rows } = await pool.query<{ fence: number }>(
    `select fence from orgtrail_commit_page(${parameters.map((_, index) => `$${index + 1}`).join(', ')})`,
    parameters,
  );
  if (rows[0]?.fence !== 1) throw new Error('fenced');
  return { ...lease, commitSeq: lease.commitSeq + 1 };
};
