import { and, eq, isNull, ne, not, or, type SQL, sql } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { Pool } from 'pg';
import { parseInstantMs } from '../../../base/time.ts';
import { inTransaction } from '../../../postgres/pool.ts';
import { db } from '../../../postgres/queries.ts';
import { databaseTime } from '../../../postgres/tables/column-types.ts';
import { organizations } from '../../../postgres/tables/sources.ts';
import { toJsonbText } from '../../entries/entry.ts';
import type { FoundOrganization, OrganizationChange } from '../../planning/source.ts';
import type { LogNews } from '../ports.ts';

const MISSES_UNTIL_ASKED = 2;

/** A listing that misses it, or a log that refuses, for less may do so by mistake. */
export const LEFT_AFTER = "interval '15 minutes'";

/** SQL: of what other credentials list nothing is missed, unless they have not been used for two days. */
const LISTED_HERE = `(o.listed_by is null or o.listed_by = any($5) or not exists (select from api_budget b
    where b.credential = o.listed_by and b.next_free_at > clock_timestamp() - interval '2 days'))`;

/** $1 what was found, $2 whether that is all, $3 the allow-list, $4 the parent that was asked about, $5 the credentials of this process. */
const recordStatement = `
with found as materialized (
  select * from jsonb_to_recordset($1::jsonb)
    as f (id text, name text, parent_id text, managed_by text, create_time timestamptz, meta jsonb, profile jsonb)),
upserted as (
  insert into organizations as o (id, name, parent_id, managed_by, create_time, meta, profile, profile_read_at, listed_under, listed_by)
  select id, name, parent_id, managed_by, create_time, meta, profile,
    case when profile is not null then clock_timestamp() end, $4, ($5::text[])[1] from found
  on conflict (id) do update set
    name = coalesce(excluded.name, o.name),
    -- Without a name, nothing but the id is known: that it has no parent is not.
    parent_id = case when excluded.name is null then o.parent_id else excluded.parent_id end,
    managed_by = case when excluded.name is null then o.managed_by else excluded.managed_by end,
    create_time = coalesce(excluded.create_time, o.create_time), meta = coalesce(excluded.meta, o.meta),
    profile = coalesce(excluded.profile, o.profile),
    profile_read_at = coalesce(excluded.profile_read_at, o.profile_read_at),
    state = case o.state when 'gone' then 'active' else o.state end,
    listed_under = case when $4 is null then null else o.listed_under end,
    missed_listings = 0, log_asked_at = null, log_open_at_misses = null, left_at = null, listed_by = excluded.listed_by,
    last_seen_at = clock_timestamp()
  -- An idle organization's row is not rewritten at every listing.
  where o.last_seen_at < clock_timestamp() - interval '5 minutes' or o.missed_listings > 0 or o.state = 'gone'
    or (o.name, o.parent_id, o.managed_by) is distinct from (excluded.name, excluded.parent_id, excluded.managed_by)
       and excluded.name is not null
    or o.listed_under is not null and $4 is null
    or o.meta is distinct from coalesce(excluded.meta, o.meta)
    or excluded.profile is distinct from coalesce(o.profile, excluded.profile) and excluded.profile is not null
    or o.profile is null and excluded.profile is not null),
missed as (
  update organizations o set missed_listings = missed_listings + 1
  where $2 and state <> 'gone' and ($3::text[] is null or id = any($3)) and ${LISTED_HERE}
    -- What was found below one that is gone is not asked for there any more.
    and (listed_under is not distinct from $4 or $4 is null and exists (
      select from organizations p where p.id = o.listed_under and p.state = 'gone'))
    and not exists (select from found f where f.id = o.id)),
changes (organization_id, change, old_value, new_value) as (
  select f.id, 'appeared', null, f.name from found f where not exists (select from organizations o where o.id = f.id)
  union all select f.id, 'restored', null, null from found f join organizations o using (id)
    where o.state = 'gone' or o.left_at is not null
  union all select f.id, 'renamed', o.name, f.name from found f join organizations o using (id)
    where f.name <> o.name
  union all select f.id, 'moved', o.parent_id, f.parent_id from found f join organizations o using (id)
    where f.parent_id is distinct from o.parent_id and f.name is not null)
insert into organization_changes (organization_id, change, old_value, new_value)
select * from changes returning organization_id as "organizationId", change`;

/** With `complete`, those that it did not name are counted as missed, which alone makes none gone; `within` limits that
 * to an allow-list. Called for each page, and at the end for the ids of all. */
export const recordListing = async (pool: Pool, found: readonly FoundOrganization[], options: ListingOptions) => {
  const { complete, within, under, keys = [] } = options;
  const parameters = [toRows(found), complete, within ?? null, under ?? null, keys];
  return await inTransaction(pool, async (client) => {
    // Replicas list at the same moments: each sees what the one before it changed. Only who may write can lock it so.
    await client.query('lock table organizations in share row exclusive mode');
    const { rows } = await client.query<OrganizationChange>(recordStatement, parameters);
    return rows;
  });
};

export interface ListingOptions {
  readonly complete: boolean;
  readonly within: readonly string[] | undefined;
  readonly under?: string | undefined;
  /** The credentials of this process, as api_budget names them. */
  readonly keys?: readonly string[] | undefined;
}

const toRows = (found: readonly FoundOrganization[]): string =>
  toJsonbText(
    found.map((organization) => ({
      id: organization.id,
      name: organization.name,
      parent_id: organization.parentId,
      managed_by: organization.managedBy,
      // One unreadable time must not fail the listing.
      create_time: parseInstantMs(organization.createTime ?? '') === undefined ? null : organization.createTime,
      meta: organization.meta,
      profile: organization.profile,
    })),
  );

/** True if that is news. */
export const recordAccess = async (pool: Pool, organizationId: string, access: 'refused' | 'restored') => {
  const [from, to] = access === 'refused' ? ['active', 'refused'] : ['refused', 'active'];
  const { rowCount } = await pool.query(
    `with changed as (update organizations set state = $3 where id = $1 and state = $2 returning id)
     insert into organization_changes (organization_id, change) select id, $4 from changed`,
    [organizationId, from, to, access],
  );
  return rowCount === 1;
};

/**
 * Missed by the last complete listings, and to be asked now: from the second miss on, after an answer only at twice as
 * many misses or a day later. The longest unasked first: one whose log never answers does not keep the others waiting.
 */
export const takeMissed = async (pool: Pool, limit: number): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ id: string }>(
    // An answer at more misses than there are is of an earlier absence: version 0.1 does not clear it.
    `with due as (
       select id from organizations
       where state <> 'gone' and missed_listings >= $2
         and (log_open_at_misses is null or log_open_at_misses > missed_listings
           or missed_listings >= 2 * log_open_at_misses or log_asked_at < clock_timestamp() - interval '1 day')
       order by log_asked_at nulls first, id limit $1
       for update skip locked)
     update organizations o set log_asked_at = statement_timestamp() from due where o.id = due.id returning o.id`,
    [limit, MISSES_UNTIL_ASKED],
  );
  return rows.map((row) => row.id);
};

/** What is news: a refusal makes it `refused`, and `gone` after a while: for a moment any log may be refused. Undefined
 * also if it has been listed again, or is gone already. */
export const recordLogAnswer = async (pool: Pool, organizationId: string, answer: 'open' | 'refused') => {
  const { rows } = await pool.query<{ news: LogNews }>(
    answer === 'open'
      ? `with before as materialized (
           select id, state, left_at is null and last_seen_at < clock_timestamp() - ${LEFT_AFTER} as has_left
           from organizations where id = $1 and state <> 'gone' and missed_listings >= $2 for update),
         noted as (
           insert into organization_changes (organization_id, change)
           select id, 'restored' from before where state = 'refused' union all select id, 'left' from before where has_left)
         update organizations o set state = 'active', log_open_at_misses = missed_listings,
           left_at = case when has_left then clock_timestamp() else left_at end
         from before where o.id = before.id returning 'open' as news`
      : `with news as materialized (
           select id, case state when 'active' then 'refused' else 'gone' end as change
           from organizations o where id = $1 and state <> 'gone' and missed_listings >= $2 and (state = 'active' or ${LEFT_AFTER} < clock_timestamp() - (
             select max(c.changed_at) from organization_changes c where c.organization_id = o.id and c.change = 'refused'))
           for update),
         changed as (
           update organizations o set state = change, left_at = case change when 'gone' then null else left_at end from news where o.id = news.id)
         insert into organization_changes (organization_id, change) select id, change from news returning change as news`,
    [organizationId, MISSES_UNTIL_ASKED],
  );
  return rows[0]?.news;
};

const { id, state, profileReadAt, childrenListedAt } = organizations;

const notForADay = async (pool: Pool, doneAt: PgColumn, limit: number, only?: SQL): Promise<readonly string[]> => {
  const isDue = or(isNull(doneAt), sql`${doneAt} < clock_timestamp() - interval '1 day'`);
  const rows = await db(pool)
    .select({ id })
    .from(organizations)
    .where(and(ne(state, 'gone'), isDue, only))
    .orderBy(sql`${doneAt} nulls first`, id)
    .limit(limit);
  return rows.map((row) => row.id);
};

export const withoutProfile = (pool: Pool, limit: number): Promise<readonly string[]> =>
  notForADay(pool, profileReadAt, limit);

/** None if the listing itself shows organizations that are below others. */
export const withoutChildrenListed = (pool: Pool, limit: number): Promise<readonly string[]> => {
  const showsOthers = sql`exists (select from organizations where parent_id is not null and listed_under is null)`;
  return notForADay(pool, childrenListedAt, limit, not(showsOthers));
};

export const recordChildrenListed = async (pool: Pool, organizationId: string): Promise<void> => {
  await db(pool).update(organizations).set({ childrenListedAt: databaseTime }).where(eq(id, organizationId));
};

/** `undefined`: there is none. */
export const recordProfile = async (pool: Pool, organizationId: string, profile: unknown): Promise<void> => {
  const stored = profile === undefined ? undefined : sql`${toJsonbText(profile)}::jsonb`;
  await db(pool)
    .update(organizations)
    .set({ profile: stored, profileReadAt: databaseTime })
    .where(eq(id, organizationId));
};

/** `all` if no profile has ever been read: then none is due before a day is over. */
export const recordProfileRefused = async (pool: Pool, organizationId: string): Promise<'one' | 'all'> => {
  const noneRead = sql`not exists (select from organizations where profile is not null)`;
  const isDue = or(isNull(profileReadAt), sql`${profileReadAt} < clock_timestamp() - interval '1 day'`);
  const { rowCount } = await db(pool)
    .update(organizations)
    .set({ profileReadAt: databaseTime })
    .where(and(noneRead, isDue));
  if (rowCount !== 0) return 'all';
  await db(pool).update(organizations).set({ profileReadAt: databaseTime }).where(eq(id, organizationId));
  return 'one';
};
