import type { Pool } from 'pg';
import { readOnly } from '../postgres/queries.ts';
import {
  asksForDetections,
  asksForPlaces,
  type IncompleteReason,
  type SearchCoverage,
  type SearchHole,
} from './answer.ts';
import { readArchivedMonths, readDroppedMonths } from './archived-months.sql.ts';
import type { Search } from './query/search.ts';

const TIMEOUT_MS = 3_000;
const SHOWN_GAPS = 5;

const utcSeconds = (expression: string): string => `to_char(${expression}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

export interface CollectionRules {
  readonly organizationIds: readonly string[] | undefined;
  /** A list of accounts; anything else: those of the organizations. */
  readonly accounts?: string | readonly string[] | undefined;
  /** How many seconds of the last moments may be missing of each of so many logs without its being behind. */
  readonly behindAfterSeconds: (logs: number) => number;
}

/**
 * Logs that are collected: organizations $1, accounts $2. An account counts even if this process pulls none, as a command on the
 * database alone does not: what is not read of it may be missing.
 */
const collected = `sources s
  left join accounts a on a.id = s.account_id
  left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
  where coalesce(a.state, o.state) <> 'gone' and case
    when s.account_id is null then $1::text[] is null or s.organization_id = any($1)
    when $2::text[] is not null then s.account_id = any($2)
    else $1 is null or a.organization_id = any($1) or exists (select from account_organizations shown
      where shown.account_id = a.id and shown.organization_id = any($1)) end`;

export type SearchedPart = Readonly<Record<'since' | 'before' | 'organization', string | undefined>> & {
  readonly account?: string | undefined;
};

/** RFC 3339; undefined: without an end on that side. To be read before the search: whatever it calls collected is stored by then. */
export const readSearchCoverage = (
  pool: Pool,
  part: SearchedPart,
  rules: CollectionRules,
  gaps = SHOWN_GAPS,
): Promise<SearchCoverage> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const counting = `select count(*)::integer as count from ${collected}`;
    const all = await client.query<{ count: number }>(counting, allowedBy(rules));
    const behindAfter = rules.behindAfterSeconds(all.rows[0]?.count ?? 0);
    const values = [...allowedBy(rules), ...valuesOf(part), behindAfter, gaps];
    const { rows } = await client.query<Omit<SearchCoverage, 'archivedMonths' | 'droppedMonths'>>(statement, values);
    const archivedMonths = await readArchivedMonths(client, part);
    const droppedMonths = (await readDroppedMonths(client, part)).map(({ month }) => month);
    return { ...(rows[0] as (typeof rows)[number]), archivedMonths, droppedMonths };
  });

/** $1 and $2. */
const allowedBy = ({ organizationIds, accounts }: CollectionRules): unknown[] => [
  organizationIds ?? null,
  Array.isArray(accounts) ? accounts : null,
];

/** $3 to $6. */
const valuesOf = ({ since, before, organization, account }: SearchedPart): unknown[] =>
  [organization, account, since, before].map((value) => value ?? null);

/**
 * A gap that reaches to now is only the delay of the last moments, unless it is longer than that ($7), or the time searched ends before now:
 * then all of it can be asked for.
 */
const statement = `
  with asked as (
    select coalesce($5::timestamptz, '-infinity') as since, least(coalesce($6::timestamptz, now()), now()) as before,
      coalesce($6::timestamptz >= now(), true) as to_now),
  searched as (
    select s.*, least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as horizon
    from ${collected} and case when $4::text is not null then s.account_id = $4
      else $3::text is null or coalesce(s.organization_id, a.organization_id) = $3 end),
  missing as (
    select g.source_kind, g.source_id, g.organization_id, g.organization_name, g.account_id, g.account_name, greatest(g.since, asked.since) as since, least(g.before, asked.before) as before,
      asked.to_now and g.before >= now() and g.since > now() - make_interval(secs => $7) as is_delay
    from coverage_gaps g join searched on searched.kind = g.source_kind and searched.id = g.source_id, asked
    where g.since < asked.before and g.before > asked.since),
  shown as (
    select * from missing where not is_delay order by before - since desc, source_id limit $8)
  select (select count(*)::integer from searched where account_id is null) as organizations,
    (select count(*)::integer from searched where account_id is not null) as accounts,
    (select count(distinct (source_kind, source_id))::integer from missing where not is_delay) as incomplete,
    (select coalesce(sum(extract(epoch from before - since)), 0)::float8 from missing) as "notCollectedSeconds",
    (select coalesce(sum(extract(epoch from upper(once) - lower(once))), 0)::float8
      from searched join coverage c on c.source_kind = searched.kind and c.source_id = searched.id
          and c.filter_hash = searched.filter_hash and c.pass = 0, asked,
        unnest((c.ranges - c.read_again) * tstzmultirange(tstzrange(
          least(greatest(asked.since, searched.horizon), asked.before), asked.before))) as once) as "readOnceSeconds",
    coalesce((select json_agg(json_build_object('organizationId', organization_id, 'organizationName',
      organization_name, 'accountId', account_id, 'accountName', account_name, 'since', ${utcSeconds('since')},
      'before', ${utcSeconds('before')}) order by before - since desc, source_id) from shown), '[]') as gaps,
    ${utcSeconds('(select max(horizon) from searched)')} as "collectedSince",
    coalesce((select max(horizon) from searched) > asked.since, false) as "beginsEarlier",
    ${utcSeconds('least(asked.before, (select min(since) from missing where is_delay))')} as "collectedUntil",
    coalesce((select bool_or(filter_hash <> 'none') from searched), false) as filtered
  from asked`;

const utcMicroseconds = (expression: string): string => `to_char(${expression}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** Of the first reading of the logs that are searched, the newest first. */
export const readSearchHoles = (
  pool: Pool,
  part: SearchedPart,
  rules: CollectionRules,
  limit: number,
): Promise<readonly SearchHole[]> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const { rows } = await client.query<SearchHole>(
      `select h.source_kind as "sourceKind", h.source_id as "sourceId", ${utcMicroseconds('h.since')} as since, ${utcMicroseconds('h.before')} as before,
         h.reason, h.message
       from coverage_holes h
       where h.pass = 0 and h.since < coalesce($6::timestamptz, 'infinity') and h.before > coalesce($5::timestamptz, '-infinity')
         and exists (select from ${collected} and s.kind = h.source_kind and s.id = h.source_id and s.filter_hash = h.filter_hash
           and case when $4::text is not null then s.account_id = $4
             else $3::text is null or coalesce(s.organization_id, a.organization_id) = $3 end)
       order by h.since desc, h.source_id limit $7`,
      [...allowedBy(rules), ...valuesOf(part), limit],
    );
    return rows;
  });

/** What it asks for and has not been derived of all events but those of the last minute. */
export const readUnderived = async (pool: Pool, search: Search): Promise<readonly IncompleteReason[]> => {
  const reasons: IncompleteReason[] = [];
  if (asksForDetections(search) && !(await isDerived(pool, 'finding_head', 'h.began_at = 0')))
    reasons.push('rules_not_asked');
  if (asksForPlaces(search) && !(await isDerived(pool, 'place_head', 'true'))) reasons.push('places_not_looked_up');
  return reasons;
};

const isDerived = async (pool: Pool, head: string, condition: string): Promise<boolean> => {
  const { rows } = await pool.query<{ derived: boolean }>(
    `select coalesce((select ${condition} and coalesce((select e.received_at from audit_events e where e.position > h.position
       order by e.position limit 1) > now() - interval '1 minute', true) from ${head} h), f.position = 0) as derived from feed_head f`,
  );
  return rows[0]?.derived === true;
};
