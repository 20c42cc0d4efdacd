import type { Pool } from 'pg';
import { readOnly } from '../postgres/read-only.ts';
import type { SearchHole } from './ports.ts';
import { type CollectionRules, collected, type SearchedPart } from './search-coverage.sql.ts';

const TIMEOUT_MS = 3_000;

const utc = (expression: string): string => `to_char(${expression}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** The holes of the first reading of the logs that a search looks at, within its time, the newest first. */
export const readSearchHoles = (
  pool: Pool,
  { since, before, organization, account }: SearchedPart,
  { organizationIds, accounts }: CollectionRules,
  limit: number,
): Promise<readonly SearchHole[]> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const { rows } = await client.query<SearchHole>(
      `select h.source_kind as "sourceKind", h.source_id as "sourceId", ${utc('h.since')} as since, ${utc('h.before')} as before,
         h.reason, h.message
       from coverage_holes h
       where h.pass = 0 and h.since < coalesce($6::timestamptz, 'infinity') and h.before > coalesce($5::timestamptz, '-infinity')
         and exists (select from ${collected} and s.kind = h.source_kind and s.id = h.source_id and s.filter_hash = h.filter_hash
           and case when $4::text is not null then s.account_id = $4
             else $3::text is null or coalesce(s.organization_id, a.organization_id) = $3 end)
       order by h.since desc, h.source_id limit $7`,
      [
        organizationIds ?? null,
        Array.isArray(accounts) ? accounts : null,
        organization ?? null,
        account ?? null,
        since ?? null,
        before ?? null,
        limit,
      ],
    );
    return rows;
  });
