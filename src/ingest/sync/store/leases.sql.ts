import { and, eq, gt, isNotNull, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../../postgres/queries.ts';
import { databaseTime } from '../../../postgres/tables/column-types.ts';
import { sources } from '../../../postgres/tables/sources.ts';
import type { LaneFailure, Lease, SourceKey, SourceState } from '../../planning/source.ts';
import { type SourceRow, toSource } from './sources.sql.ts';

/** Undefined if another process holds it. Every taking is a new epoch, so that whatever an earlier holder still has
 * under way writes nothing. */
export const claimSource = async (
  pool: Pool,
  source: SourceKey,
  owner: string,
  leaseMs: number,
  filterHash: string,
): Promise<{ lease: Lease; source: SourceState } | undefined> => {
  const { rows } = await pool.query<ClaimRow>(
    'select epoch, commit_seq as "commitSeq", source from orgtrail_claim_source($1, $2, $3, $4, $5)',
    [source.kind, source.id, owner, leaseMs, filterHash],
  );
  const [claimed] = rows;
  if (claimed === undefined) return undefined;
  const { epoch, commitSeq } = claimed;
  const row = toSource({ ...claimed.source, heldElsewhere: false });
  const { kind, id, organizationId } = row;
  return { source: row, lease: { kind, id, organizationId, owner, epoch, commitSeq } };
};

interface ClaimRow {
  readonly epoch: number;
  readonly commitSeq: number;
  readonly source: Omit<SourceRow, 'heldElsewhere'>;
}

/**
 * A restart need not wait for leases of dead owners to run out. Safe even if one lives: the next claim is a new epoch.
 */
export const releaseDead = async (pool: Pool, isDead: (owner: string) => boolean): Promise<void> => {
  const held = await db(pool)
    .selectDistinct({ owner: sources.leaseOwner })
    .from(sources)
    .where(gt(sources.leaseUntil, databaseTime));
  const dead = held.flatMap(({ owner }) => (owner !== null && isDead(owner) ? [owner] : []));
  if (dead.length === 0) return;
  // In one order, and never waiting: replicas that do the same must not wait for each other in a circle.
  await pool.query(
    `with held as (select kind, id from sources where lease_owner = any($1) order by kind, id for update skip locked)
     update sources s set lease_until = null from held where s.kind = held.kind and s.id = held.id`,
    [dead],
  );
};

export interface ReadingCredential {
  readonly name: string;
  readonly key: string;
  readonly listsAccounts: boolean;
}

/** A daemon that reads sends a request at least every four minutes: to list organizations. */
export const READER_RESTS_MS = 600_000;

/** Those read, or listed and not read yet, with another credential that has lately been used: a refusal here says
 * nothing of them. */
export const readElsewhere = async (pool: Pool, sources: readonly SourceKey[], keys: readonly string[]) => {
  const { rows } = await pool.query<SourceKey>(
    `select s.kind, s.id from unnest($1::text[], $2::text[]) as asked (kind, id) join sources s using (kind, id)
     where exists (
       select from api_budget b
       where b.credential <> all($3) and b.next_free_at > clock_timestamp() - make_interval(secs => $4::float8 / 1000)
         and (b.credential = s.reader or s.reader is null and (
           exists (select from organizations o where o.id = s.organization_id and o.listed_by = b.credential)
           or exists (select from account_organizations l
             where l.account_id = s.account_id and l.scope = 'credential:' || b.credential and l.missed = 0))))`,
    [sources.map(({ kind }) => kind), sources.map(({ id }) => id), keys, READER_RESTS_MS],
  );
  return rows;
};

const leaseParameters = (lease: Lease) =>
  and(eq(sources.kind, lease.kind), eq(sources.id, lease.id), eq(sources.leaseEpoch, lease.epoch));

/** While a page is waited for. False if it has gone to another process. */
export const renewSource = async (pool: Pool, lease: Lease, leaseMs: number): Promise<boolean> => {
  const { rowCount } = await db(pool)
    .update(sources)
    .set({ leaseUntil: sql`clock_timestamp() + make_interval(secs => ${leaseMs}::float8 / 1000)` })
    // One that was given back while this was on its way stays free.
    .where(and(leaseParameters(lease), eq(sources.leaseOwner, lease.owner), isNotNull(sources.leaseUntil)));
  return rowCount === 1;
};

/** Does nothing if it has already gone. */
export const releaseSource = async (pool: Pool, lease: Lease): Promise<void> => {
  await db(pool).update(sources).set({ leaseUntil: null }).where(leaseParameters(lease));
};

/** Does nothing if the lease has gone to another process. */
export const recordFailure = async (pool: Pool, lease: Lease, failure: LaneFailure): Promise<void> => {
  await pool.query('select orgtrail_fail_lane($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [
    lease.kind,
    lease.id,
    lease.epoch,
    failure.filterHash,
    failure.lane,
    JSON.stringify(failure.state),
    failure.state.failures,
    failure.failure,
    failure.message,
    failure.backoffMs,
  ]);
};
