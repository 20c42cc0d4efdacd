import type { Pool } from 'pg';
import type { SearchCoverage } from '../domain/found-event.ts';
import { readOnly } from './read-only.ts';

const TIMEOUT_MS = 3_000;
/** The time since the last pull is always unread; a gap that begins earlier than this is one that people should know of. */
const RECENT_SECONDS = 300;
const SHOWN_GAPS = 5;

const utc = (expression: string): string => `to_char(${expression}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

/** Of one organization or all. Times are RFC 3339; undefined: without an end on that side. */
export const readSearchCoverage = (
  pool: Pool,
  { since, before, organization }: Record<'since' | 'before' | 'organization', string | undefined>,
): Promise<SearchCoverage> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const { rows } = await client.query<SearchCoverage>(
      `with asked as (
         select coalesce($1::timestamptz, '-infinity') as since, least(coalesce($2::timestamptz, now()), now()) as before),
       searched as (
         select s.* from sources s join organizations o on o.id = s.organization_id
         where o.state <> 'gone' and ($3::text is null or s.organization_id = $3)),
       missing as (
         select g.organization_id, g.organization_name, greatest(g.since, asked.since) as since,
           least(g.before, asked.before) as before, g.since > now() - make_interval(secs => ${RECENT_SECONDS}) as recent
         from coverage_gaps g, asked
         where g.since < asked.before and g.before > asked.since and ($3::text is null or g.organization_id = $3)),
       shown as (
         select * from missing where not recent order by before - since desc, organization_id limit ${SHOWN_GAPS})
       select (select count(*)::integer from searched) as organizations,
         (select count(distinct organization_id)::integer from missing where not recent) as incomplete,
         coalesce((select json_agg(json_build_object('organizationId', organization_id, 'organizationName',
           organization_name, 'since', ${utc('since')}, 'before', ${utc('before')})) from shown), '[]') as gaps,
         ${utc('(select max(wanted_since) from searched)')} as "collectedSince",
         coalesce((select max(wanted_since) from searched) > asked.since, false) as "beginsEarlier",
         ${utc('least(asked.before, (select min(since) from missing where recent))')} as "readUntil"
       from asked`,
      [since ?? null, before ?? null, organization ?? null],
    );
    return rows[0] as SearchCoverage;
  });

/** For suggestions while typing: the organizations by name, those that are gone included. */
export const readOrganizationNames = async (
  pool: Pool,
  limit: number,
): Promise<readonly { readonly id: string; readonly name: string | null }[]> => {
  const { rows } = await pool.query<{ id: string; name: string | null }>(
    'select id, name from organizations order by name nulls last, id limit $1',
    [limit],
  );
  return rows;
};
