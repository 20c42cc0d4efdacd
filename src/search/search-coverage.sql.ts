import type { Pool } from 'pg';
import { readOnly } from '../postgres/read-only.ts';
import type { SearchCoverage } from './found-event.ts';

const TIMEOUT_MS = 3_000;
const SHOWN_GAPS = 5;

const utc = (expression: string): string => `to_char(${expression}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

/** What counts as collected, and how late that may be. */
export interface CollectionRules {
  /** Allow-list; undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  /** How much of the last moments may be missing of each organization without its being behind, for so many of them. Seconds. */
  readonly behindAfterSeconds: (organizations: number) => number;
}

/** Sources $1 of organizations that are collected. */
const collected = `sources s join organizations o on o.id = s.organization_id
  where o.state <> 'gone' and ($1::text[] is null or s.organization_id = any($1))`;

/**
 * Of one organization or all. Times are RFC 3339; undefined: without an end on that side. Read it before the search: whatever it
 * calls collected is stored by then.
 */
export const readSearchCoverage = (
  pool: Pool,
  { since, before, organization }: Record<'since' | 'before' | 'organization', string | undefined>,
  { organizationIds, behindAfterSeconds }: CollectionRules,
): Promise<SearchCoverage> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const allowed = organizationIds ?? null;
    const all = await client.query<{ count: number }>(`select count(*)::integer as count from ${collected}`, [allowed]);
    const { rows } = await client.query<SearchCoverage>(statement, [
      allowed,
      organization ?? null,
      since ?? null,
      before ?? null,
      behindAfterSeconds(all.rows[0]?.count ?? 0),
    ]);
    return rows[0] as SearchCoverage;
  });

/**
 * A gap that reaches to now is only the delay of the last moments, unless it is longer than that ($5), or the time searched ends before now: then all of
 * it can be asked for.
 */
const statement = `
  with asked as (
    select coalesce($3::timestamptz, '-infinity') as since, least(coalesce($4::timestamptz, now()), now()) as before,
      coalesce($4::timestamptz >= now(), true) as to_now),
  searched as (
    select s.*, least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as horizon
    from ${collected} and ($2::text is null or s.organization_id = $2)),
  missing as (
    select g.organization_id, g.organization_name, greatest(g.since, asked.since) as since, least(g.before, asked.before) as before,
      asked.to_now and g.before >= now() and g.since > now() - make_interval(secs => $5) as is_delay
    from coverage_gaps g join searched on searched.kind = g.source_kind and searched.id = g.source_id, asked
    where g.since < asked.before and g.before > asked.since),
  shown as (
    select * from missing where not is_delay order by before - since desc, organization_id limit ${SHOWN_GAPS})
  select (select count(distinct organization_id)::integer from searched) as organizations,
    (select count(distinct organization_id)::integer from missing where not is_delay) as incomplete,
    (select coalesce(sum(extract(epoch from before - since)), 0)::float8 from missing) as "notCollectedSeconds",
    coalesce((select json_agg(json_build_object('organizationId', organization_id, 'organizationName',
      organization_name, 'since', ${utc('since')}, 'before', ${utc('before')}) order by before - since desc, organization_id) from shown), '[]') as gaps,
    ${utc('(select max(horizon) from searched)')} as "collectedSince",
    coalesce((select max(horizon) from searched) > asked.since, false) as "beginsEarlier",
    ${utc('least(asked.before, (select min(since) from missing where is_delay))')} as "collectedUntil",
    coalesce((select bool_or(filter_hash <> 'none') from searched), false) as filtered
  from asked`;
