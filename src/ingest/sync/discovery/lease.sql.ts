import { eq, gt, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../../postgres/queries.ts';
import { databaseTime } from '../../../postgres/tables/column-types.ts';
import { discovery } from '../../../postgres/tables/sources.ts';

/** SQL: the last listing failed. One that was short has an error, too. */
const HAS_FAILED = '(last_error is not null and short_since is null)';

/** If not `mine`: what the last listing said of Cloudflare's time. */
export interface DiscoveryTurn {
  readonly mine: boolean;
  readonly serverTimeMs: number | undefined;
}

/** Not given while another replica lists, nor for `restMs` after the last attempt: replicas tick at the same moments.
 * Who tried last and failed may try again at once: so an outage ends. */
export const claimDiscovery = async (
  pool: Pool,
  owner: string,
  leaseMs: number,
  restMs: number,
): Promise<DiscoveryTurn> => {
  const { rowCount } = await pool.query(
    `with free as (
       select only_row from discovery
       where lease_owner = $1 and (lease_until is not null or ${HAS_FAILED}) or (
         (lease_until is null or lease_until <= clock_timestamp())
         and (last_attempt_at is null or last_attempt_at <= clock_timestamp() - make_interval(secs => $3::float8 / 1000)))
       for update skip locked)
     update discovery d set lease_owner = $1, lease_until = clock_timestamp() + make_interval(secs => $2::float8 / 1000)
     from free where d.only_row = free.only_row`,
    [owner, leaseMs, restMs],
  );
  if (rowCount === 1) return { mine: true, serverTimeMs: undefined };
  const [last] = await db(pool).select({ serverTime: discovery.serverTime }).from(discovery);
  return { mine: false, serverTimeMs: last?.serverTime?.getTime() };
};

/** Gives the right back if its owner was killed while it listed. Safe even if it lives: both list, until it asks for
 * its right again. */
export const releaseDeadDiscovery = async (pool: Pool, isDead: (owner: string) => boolean): Promise<boolean> => {
  const [held] = await db(pool)
    .select({ owner: discovery.leaseOwner })
    .from(discovery)
    .where(gt(discovery.leaseUntil, databaseTime));
  if (held?.owner == null || !isDead(held.owner)) return false;
  const isItsOwn = eq(discovery.leaseOwner, held.owner);
  const { rowCount } = await db(pool).update(discovery).set({ leaseUntil: null }).where(isItsOwn);
  return rowCount === 1;
};

/** False if another replica has it by now. */
export const renewDiscovery = async (pool: Pool, owner: string, leaseMs: number): Promise<boolean> => {
  const leaseUntil = sql`clock_timestamp() + make_interval(secs => ${leaseMs}::float8 / 1000)`;
  const { rowCount } = await db(pool).update(discovery).set({ leaseUntil }).where(eq(discovery.leaseOwner, owner));
  return rowCount === 1;
};

/** `short`: why it may lack some. */
export type DiscoveryResult =
  | { readonly organizations: number; readonly serverTimeMs: number; readonly short?: string | undefined }
  | { readonly error: string };

const OUTAGE_FAILURES = ['connection', 'timeout', 'server', 'unreadable', 'throttled', 'unauthorized'];

const REFUSALS = ['refused', 'unauthorized', 'not_found'];

export const endRestsOfRefused = async (pool: Pool): Promise<void> => {
  await pool.query('select orgtrail_end_rests($1)', [REFUSALS]);
};

/** Readiness depends on the age of the last success, and `server_time` is Cloudflare's time at that moment. The first
 * success after a failure ends an outage: lanes that failed with it need not rest on, which can be minutes. */
export const recordDiscovery = async (pool: Pool, owner: string, result: DiscoveryResult): Promise<void> => {
  const free = 'lease_until = case when lease_owner = $1 then null else lease_until end';
  if ('error' in result) {
    await pool.query(
      `update discovery set ${free}, last_attempt_at = clock_timestamp(), last_error = $2, short_since = null`,
      [owner, result.error],
    );
    return;
  }
  await pool.query(
    `with rested as materialized (
       select orgtrail_end_rests($4) as lanes from discovery where ${HAS_FAILED})
     update discovery set ${free}, last_attempt_at = clock_timestamp(), last_success_at = clock_timestamp(),
       last_error = $5, short_since = case when $5::text is not null then coalesce(short_since, clock_timestamp()) end,
       organizations = $2, server_time = to_timestamp($3::float8 / 1000)
     where (select count(lanes) from rested) >= 0`,
    [owner, result.organizations, result.serverTimeMs, OUTAGE_FAILURES, result.short ?? null],
  );
};
