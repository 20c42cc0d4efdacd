import type { Pool } from 'pg';
import { parseInstantMs } from '../../../base/time.ts';
import { inTransaction } from '../../../postgres/pool.ts';
import { toJsonbText } from '../../entries/entry.ts';
import type { AccountChange, FoundAccount, SourceKey } from '../../planning/source.ts';
import type { AccountListingEnd, AccountsPage, DueListing } from '../ports.ts';
import type { ReadingCredential } from '../store/leases.sql.ts';
import type { SourceScope } from '../store/sources.sql.ts';
import { LEFT_AFTER } from './organizations.sql.ts';

const CREDENTIAL_SCOPE = 'credential:';
const ORGANIZATION_SCOPE = 'organization:';
/** An account is gone after this many misses by every listing that counts, if its log has refused for a while. */
const MISSES_UNTIL_GONE = 2;
/** A listing rests for 25 hours at most: one not tried for so long is of a credential or a setting of the past. */
export const LISTING_ENDS = "interval '2 days'";
/** An older walk begins again. */
const WALK_ENDS = "interval '1 day'";
/** A listing may not show yet what so young an entry tells of. */
const LATE_INTERVAL = "interval '5 minutes'";

export interface ListingsWanted {
  readonly organizationIds: readonly string[] | undefined;
  readonly wanted: SourceScope['accounts'];
  readonly credentials: readonly ReadingCredential[];
}

interface ListingsAtOnce {
  readonly limit: number;
  /** Once a credential has listed all it reaches; not counting those that an organization's own log asks for. */
  readonly mostOfOrganizations: number;
  readonly owner: string;
}

const ownListings = ({ organizationIds, wanted, credentials }: ListingsWanted): readonly ReadingCredential[] =>
  wanted === 'all' && organizationIds === undefined ? credentials.filter(({ listsAccounts }) => listsAccounts) : [];

/** The longest waiting first. One of an organization is due at once when its log has told of accounts since. Makes new
 * rows. */
export const dueListings = async (
  pool: Pool,
  listings: ListingsWanted,
  { limit, mostOfOrganizations, owner }: ListingsAtOnce,
): Promise<readonly DueListing[]> => {
  const { organizationIds, wanted } = listings;
  if (typeof wanted !== 'string') return [];
  const credentials = ownListings(listings);
  const { rows } = await pool.query<{ scope: string; holder: string | null; last_attempt: string | null }>(
    `with wanted (scope) as (
       select '${ORGANIZATION_SCOPE}' || id from organizations where state <> 'gone' and ($2::text[] is null or id = any($2))
       union all select '${CREDENTIAL_SCOPE}' || key from unnest($3::text[]) key),
     made as (insert into account_listings (scope) select scope from wanted on conflict do nothing),
     known as (
       select w.scope, l.last_attempt_at, coalesce(l.next_at <= clock_timestamp(), true) as is_due,
         l.last_failure is null and exists (
           select from audit_events e
           where e.source_kind = 'organization' and e.source_id = substr(w.scope, ${ORGANIZATION_SCOPE.length + 1})
             and e.organization_id = e.source_id and e.action_time > l.last_attempt_at - ${LATE_INTERVAL}
             and e.received_at > l.last_attempt_at and e.resource_product in ('accounts', 'account')) as is_told,
         w.scope like '${CREDENTIAL_SCOPE}%' as is_credential, l.last_success_at,
         case when l.lease_until > clock_timestamp() and l.lease_owner <> $5 then l.lease_owner end as holder
       from wanted w left join account_listings l using (scope)),
     ranked as (
       select scope, last_attempt_at, holder, is_told or is_credential
         or not exists (select from known where is_credential and last_success_at is not null)
         or row_number() over (partition by is_credential, is_told order by last_attempt_at nulls first, scope) <= $4 as has_room
       from known where is_due or is_told)
     select scope, holder, last_attempt_at::text as last_attempt from ranked where has_room order by last_attempt_at nulls first, scope limit $1`,
    [
      limit,
      organizationIds ?? null,
      credentials.map(({ key }) => key),
      Math.min(mostOfOrganizations, ALL_LISTINGS),
      owner,
    ],
  );
  return rows.map(({ scope, holder, last_attempt }) => {
    const key = afterPrefix(scope, CREDENTIAL_SCOPE);
    return {
      scope,
      organizationId: afterPrefix(scope, ORGANIZATION_SCOPE),
      credential: credentials.find((each) => each.key === key)?.name,
      holder: holder ?? undefined,
      lastAttempt: last_attempt ?? undefined,
    };
  });
};

/** Undefined if another process walks it, or has since it was due. */
export const claimListing = async (
  pool: Pool,
  { scope, lastAttempt, dead }: Pick<DueListing, 'scope' | 'lastAttempt' | 'dead'>,
  owner: string,
  leaseMs: number,
): Promise<{ readonly from: string | undefined } | undefined> => {
  const { rows } = await pool.query<{ walk_page: string | null }>(
    `update account_listings set lease_owner = $2, lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000),
       walk_page = case when walk_began_at > clock_timestamp() - ${WALK_ENDS} then walk_page end,
       walk_began_at = case when walk_began_at > clock_timestamp() - ${WALK_ENDS} then walk_began_at else clock_timestamp() end
     where scope = $1 and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = any($4))
       and ($5::text is null or last_attempt_at::text = $5)
     returning walk_page`,
    [scope, owner, leaseMs, [owner, dead ?? owner], lastAttempt ?? null],
  );
  const [row] = rows;
  return row && { from: row.walk_page ?? undefined };
};

/** False if another process walks it by now. */
export const renewListing = async (pool: Pool, scope: string, owner: string, leaseMs: number): Promise<boolean> => {
  const { rowCount } = await pool.query(
    `update account_listings set lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
     where scope = $1 and lease_owner = $2`,
    [scope, owner, leaseMs],
  );
  return rowCount === 1;
};

/** Its walk goes on after the others that are due. */
export const pauseListing = async (pool: Pool, scope: string, owner: string): Promise<void> => {
  await pool.query(
    `update account_listings set lease_until = null, last_attempt_at = clock_timestamp() where scope = $1 and lease_owner = $2`,
    [scope, owner],
  );
};

export const countWalked = async (pool: Pool, scope: string): Promise<number> => {
  const { rows } = await pool.query<{ named: number }>(
    `select count(*)::integer as named from account_organizations s join account_listings l using (scope)
     where s.scope = $1 and s.last_listed_at >= l.walk_began_at`,
    [scope],
  );
  return rows[0]?.named ?? 0;
};

const afterPrefix = (text: string, prefix: string): string | undefined =>
  text.startsWith(prefix) ? text.slice(prefix.length) : undefined;

const ALL_LISTINGS = 1_000_000;

export const countListings = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ listings: number }>(
    'select count(*)::integer as listings from account_listings l where l.scope not like $1 or exists (select from organizations o where o.id = substr(l.scope, $2) and o.state <> $3)',
    [`${ORGANIZATION_SCOPE}%`, ORGANIZATION_SCOPE.length + 1, 'gone'],
  );
  return rows[0]?.listings ?? 0;
};

/** SQL: what refused them, if all that were tried are refused now. */
export const REFUSED_LISTINGS = `(select last_error from account_listings
  where last_failure in ('refused', 'unauthorized', 'not_found') and last_attempt_at > clock_timestamp() - ${LISTING_ENDS}
    and not exists (select from account_listings where last_failure is null and last_success_at is not null
      and last_attempt_at > clock_timestamp() - ${LISTING_ENDS})
  order by scope like '${CREDENTIAL_SCOPE}%' desc, last_attempt_at desc limit 1)`;

export const refusedListings = async (pool: Pool): Promise<string | undefined> => {
  const { rows } = await pool.query<{ reason: string | null }>(`select ${REFUSED_LISTINGS} as reason`);
  return rows[0]?.reason ?? undefined;
};

export const countAccounts = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ accounts: number }>(
    "select count(*)::integer as accounts from accounts where state <> 'gone'",
  );
  return rows[0]?.accounts ?? 0;
};

/** $1 what was found, $2 the listing, null for accounts that the configuration names. */
const recordStatement = `
with found as materialized (
  select * from jsonb_to_recordset($1::jsonb)
    as f (id text, name text, type text, create_time timestamptz, settings jsonb, organization_id text)),
upserted as (
  insert into accounts as a (id, name, type, create_time, settings, named_by_hand)
  select id, name, type, create_time, settings, $2::text is null from found order by id
  on conflict (id) do update set name = coalesce(excluded.name, a.name), type = coalesce(excluded.type, a.type),
    create_time = coalesce(excluded.create_time, a.create_time), settings = coalesce(excluded.settings, a.settings),
    named_by_hand = a.named_by_hand or excluded.named_by_hand, state = 'active', left_at = null, last_seen_at = clock_timestamp()
  -- An idle account's row is not rewritten at every listing.
  where a.state = 'gone' or a.left_at is not null or a.last_seen_at < clock_timestamp() - interval '5 minutes'
    or excluded.named_by_hand and not a.named_by_hand
    or (coalesce(excluded.name, a.name), coalesce(excluded.type, a.type)) is distinct from (a.name, a.type)
    or coalesce(excluded.settings, a.settings) is distinct from a.settings),
changes (account_id, change, old_value, new_value) as (
  select f.id, 'appeared', null, f.name from found f where not exists (select from accounts a where a.id = f.id)
  union all select f.id, 'restored', null, null from found f join accounts a using (id)
    where a.state = 'gone' or a.left_at is not null
  union all select f.id, 'renamed', a.name, f.name from found f join accounts a using (id) where f.name <> a.name)
insert into account_changes (account_id, change, old_value, new_value)
select * from changes order by account_id returning account_id, change`;

const showStatement = `
insert into account_organizations as s (account_id, scope, organization_id)
select id, $2, organization_id
from jsonb_to_recordset($1::jsonb) as f (id text, organization_id text) order by id
on conflict (account_id, scope) do update set organization_id = excluded.organization_id, missed = 0, last_listed_at = clock_timestamp()
where s.missed > 0 or s.organization_id is distinct from excluded.organization_id
  -- By that the walk knows at its end what it has named.
  or s.last_listed_at < coalesce((select walk_began_at from account_listings l where l.scope = $2), clock_timestamp())`;

/** Chosen alike by every replica: the parent that GET /accounts names, else the organization farthest down that lists
 * it, else the smallest id. $1: the accounts. */
const moveStatement = `
with recursive depths (id, depth, path) as (
  select id, 0, array[id] from organizations o where not exists (select from organizations p where p.id = o.parent_id)
  union all select o.id, d.depth + 1, d.path || o.id from organizations o join depths d on o.parent_id = d.id where d.depth < 20),
chosen as (
  select distinct on (s.account_id) s.account_id, o.id as organization_id, d.path
  from account_organizations s join organizations o on o.id = s.organization_id left join depths d on d.id = o.id
  where s.account_id = any($1) and s.missed = 0
  order by s.account_id, s.scope like 'credential:%' desc,
    -- Of several credentials, the one that was listed last knows of a move.
    case when s.scope like 'credential:%' then s.last_listed_at end desc nulls last, d.depth desc nulls last, o.id),
moved as (
  select a.id, a.organization_id as old_value, c.organization_id as new_value,
    -- A new account was first listed under an organization above its own: it has not moved.
    coalesce(a.first_seen_at > clock_timestamp() - interval '1 day' and a.organization_id = any(c.path)
      and exists (select from account_organizations s where s.account_id = a.id and s.organization_id = a.organization_id and s.missed = 0), false) as is_closer
  from accounts a left join chosen c on c.account_id = a.id
  where a.id = any($1) and a.organization_id is distinct from c.organization_id
    -- What no listing shows at the moment stays where it was.
    and c.organization_id is not null
  order by a.id),
updated as (update accounts a set organization_id = moved.new_value from moved where a.id = moved.id)
insert into account_changes (account_id, change, old_value, new_value)
select id, 'moved', old_value, new_value from moved where old_value is not null and not is_closer returning account_id, change`;

/** Accounts, changes, and where the walk goes on, in one transaction. `scope` null: the configuration names them. */
export const recordAccounts = async (
  pool: Pool,
  scope: string | null,
  { accounts: found, next }: Pick<AccountsPage, 'accounts' | 'next'>,
): Promise<readonly AccountChange[]> => {
  if (found.length === 0) return [];
  return await inTransaction(pool, async (client) => {
    // Two listings may name an account at once: the later one sees what the first one changed. Only who may write can lock it so.
    await client.query('lock table accounts in share row exclusive mode');
    const rows = toRows(found);
    const changed = await client.query<ChangeRow>(recordStatement, [rows, scope]);
    if (scope !== null) {
      await client.query(showStatement, [rows, scope]);
      await client.query('update account_listings set walk_page = $2 where scope = $1', [scope, next ?? null]);
    }
    const moved = await client.query<ChangeRow>(moveStatement, [found.map(({ id }) => id)]);
    return [...changed.rows, ...moved.rows].map(toChange);
  });
};

/** Known and active ones stay as they are. */
export const nameAccounts = async (pool: Pool, ids: readonly string[]): Promise<readonly AccountChange[]> => {
  if (ids.length === 0) return [];
  const { rows } = await pool.query<{ id: string }>(
    `select id from unnest($1::text[]) id where not exists (select from accounts a where a.id = id.id and a.named_by_hand)`,
    [ids],
  );
  return await recordAccounts(pool, null, { accounts: rows.map(({ id }) => ({ id })), next: undefined });
};

interface ChangeRow {
  readonly account_id: string;
  readonly change: AccountChange['change'];
}

const toChange = ({ account_id, change }: ChangeRow): AccountChange => ({ accountId: account_id, change });

const toRows = (found: readonly FoundAccount[]): string =>
  toJsonbText(
    found.map((account) => ({
      id: account.id,
      name: account.name,
      type: account.type,
      // One unreadable time must not fail the listing.
      create_time: parseInstantMs(account.createTime ?? '') === undefined ? null : account.createTime,
      settings: account.settings,
      organization_id: account.organizationId,
    })),
  );

/** A walk that broke begins again; one that failed otherwise goes on at its page. */
const BROKEN_WALKS = ['unreadable', 'bad_request', 'not_found'];

export const endListing = async (
  pool: Pool,
  { scope, credential }: Pick<DueListing, 'scope' | 'credential'>,
  end: AccountListingEnd,
): Promise<boolean> => {
  if ('failure' in end) {
    await pool.query(
      `update account_listings set last_attempt_at = clock_timestamp(), last_failure = $2, last_error = left($3, 2000), lease_until = null,
         short_since = case when $6 then coalesce(short_since, clock_timestamp()) end,
         walk_began_at = case when $2 <> all($5) then walk_began_at end, walk_page = case when $2 <> all($5) then walk_page end,
         next_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000) where scope = $1`,
      [scope, end.failure, end.message, end.restMs, BROKEN_WALKS, end.isShort],
    );
    return true;
  }
  const { rows } = await pool.query<{ believed: boolean }>(
    `with walked as materialized (
       select count(*)::integer as named from account_organizations s join account_listings l using (scope)
       where s.scope = $1 and s.last_listed_at >= l.walk_began_at),
     before as materialized (
       select walk_began_at, named, named > 0 or accounts = 0 and last_success_at is not null and last_failure is null as believed
       from account_listings, walked where scope = $1 for update of account_listings),
     missed as (
       update account_organizations s set missed = least(missed, 1000000) + 1
       from before where before.believed and s.scope = $1 and s.last_listed_at < before.walk_began_at)
     update account_listings l set last_attempt_at = clock_timestamp(), last_failure = null, last_error = null, short_since = null, credential = $3,
       last_success_at = clock_timestamp(), accounts = before.named, lease_until = null, walk_began_at = null, walk_page = null,
       next_at = clock_timestamp() + make_interval(secs => case when before.believed then $2 else $4 end::float8 / 1000)
     from before where l.scope = $1 returning before.believed`,
    [scope, end.restMs, credential ?? null, end.emptyRestMs],
  );
  return rows[0]?.believed ?? true;
};

/**
 * Gone: shown by no listing, and refused, and again after a while; left: its log answers. A listing counts if this
 * process makes it, or any has tried it lately; never that of a gone organization. Where none has missed the account,
 * its log must have refused for as long: another process, whose credential lists it, may just be away.
 */
export const markGone = async (pool: Pool, listings: ListingsWanted, named: readonly string[]) => {
  const { rows } = await pool.query<ChangeRow>(
    `with shown as materialized (
       select s.account_id, bool_or(s.missed < $1 and coalesce(o.state, '') <> 'gone' and (l.last_attempt_at > clock_timestamp() - ${LISTING_ENDS}
           or case when o.id is null then l.scope = any($3) else $2::text[] is null or o.id = any($2) end)) as is_shown,
         bool_or(s.missed >= $1 or o.state = 'gone') as is_missed
       from account_organizations s join account_listings l using (scope) left join organizations o on l.scope = '${ORGANIZATION_SCOPE}' || o.id
       group by s.account_id),
     unlisted as (
       select a.id, a.left_at, a.organization_id, coalesce(s.is_missed, false) as is_missed, l.access,
         l.refused_since < l.last_attempt_at - ${LEFT_AFTER} as is_refused_again, l.refused_since < clock_timestamp() - ${LISTING_ENDS} as is_refused_long
       from accounts a join sources l on l.account_id = a.id left join shown s on s.account_id = a.id
       where a.state = 'active' and a.id <> all($4) and not coalesce(s.is_shown, false) and (s.account_id is not null or a.named_by_hand)),
     gone as (
       update accounts a set state = 'gone', left_at = null from unlisted u
       where a.id = u.id and u.access = 'refused' and (u.is_missed and u.is_refused_again or u.is_refused_long)
       returning a.id),
     away as (
       update accounts a set left_at = clock_timestamp() from unlisted u
       where a.id = u.id and u.access = 'granted' and u.left_at is null and u.is_missed returning a.id, a.organization_id)
     insert into account_changes (account_id, change, old_value)
     select id, 'gone', null from gone union all select id, 'left', organization_id from away returning account_id, change`,
    [
      MISSES_UNTIL_GONE,
      listings.organizationIds ?? null,
      ownListings(listings).map(({ key }) => `${CREDENTIAL_SCOPE}${key}`),
      named,
    ],
  );
  return rows.map(toChange);
};

/** True if that is news. */
export const recordAccountAccess = async (pool: Pool, { kind, id }: SourceKey, access: 'refused' | 'restored') => {
  const { rowCount } = await pool.query(
    `with changed as (
       update sources set access = $3, refused_since = case $3 when 'refused' then clock_timestamp() end
       where kind = $1 and id = $2 and access <> $3 returning account_id)
     insert into account_changes (account_id, change) select account_id, $4 from changed`,
    [kind, id, access === 'refused' ? 'refused' : 'granted', access],
  );
  return rowCount === 1;
};
