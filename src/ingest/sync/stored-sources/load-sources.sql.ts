import type { Pool } from 'pg';
import type { KindPolicy, SourceKey, SourceState } from '../../planning/source.ts';
import { ms, SOURCE_OWNERS, type SourceRow, sourceColumns, toSource } from './source-row.sql.ts';

/** What the database says about time, at the moment of the statement. */
export interface StoredTime {
  /** The clock of the database. */
  readonly databaseMs: number;
  /** Cloudflare's time as of the last listing, and the time since then on the clock of the database; undefined before the first. */
  readonly serverMs: number | undefined;
}

/** Which sources are wanted. */
export interface SourceScope {
  /** Undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  /** `all`; those that an organization which is wanted lists; or these. */
  readonly accounts: 'all' | 'organizations' | readonly string[];
}

/** SQL: the wanted sources as `s`, with what is in force for each as `k`, and what else is joined. Its parameters are `scopeParameters`. */
export const wantedSources = (joins = ''): string => `sources s
     join unnest($2::text[], $3::text[]) as k (kind, filter_hash) on k.kind = s.kind ${SOURCE_OWNERS} ${joins}
     where coalesce(a.state, o.state) <> 'gone' and case when s.account_id is null then $4::text[] is null or o.id = any($4)
       when $5::text[] is not null then a.id = any($5)
       -- What a listing has missed is read until it is gone.
       else not $6 or exists (select from account_organizations shown where shown.account_id = a.id
         and shown.organization_id is not null and ($4 is null or shown.organization_id = any($4))) end`;

/** SQL: the order in which sources are planned that are alike. */
export const PLAN_ORDER = 'order by s.last_attempt_at nulls first, s.kind, s.id';

/** SQL: another process than `$1` holds the source. */
export const HELD_ELSEWHERE = `coalesce(s.lease_until > clock_timestamp() and s.lease_owner <> $1, false) as "heldElsewhere"`;

/** Which filters are in force. */
export type FilteredKind = Pick<KindPolicy, 'kind' | 'filterHash'>;

/** The first parameters of a statement over `wantedSources`. */
export const scopeParameters = (
  owner: string,
  kinds: readonly FilteredKind[],
  { organizationIds, accounts }: SourceScope,
): readonly unknown[] => [
  owner,
  kinds.map(({ kind }) => kind),
  kinds.map(({ filterHash }) => filterHash),
  organizationIds ?? null,
  typeof accounts === 'string' ? null : accounts,
  accounts === 'organizations',
];

/**
 * All sources of the kinds in force whose owner is still there, for planning, or those of `keys`. `scope` limits them to allow-lists. Called for
 * every plan.
 */
export const loadSources = async (
  pool: Pool,
  owner: string,
  kinds: readonly FilteredKind[],
  scope: SourceScope,
  keys?: readonly SourceKey[],
): Promise<readonly SourceState[]> => {
  const { rows } = await pool.query<SourceRow>(
    `select ${sourceColumns('k.filter_hash')}, ${HELD_ELSEWHERE}
     from ${wantedSources()} and ($7::text[] is null or (s.kind, s.id) in (select * from unnest($7, $8::text[])))
     ${PLAN_ORDER}`,
    [...scopeParameters(owner, kinds, scope), keys?.map(({ kind }) => kind) ?? null, keys?.map(({ id }) => id) ?? null],
  );
  return rows.map(toSource);
};

/** Whether more sources are wanted than so many. */
export const hasMoreSources = async (
  pool: Pool,
  kinds: readonly FilteredKind[],
  scope: SourceScope,
  most: number,
): Promise<boolean> => {
  const { rows } = await pool.query<{ has_more: boolean }>(
    `select count(*) > $7 as has_more from (select $1::text from ${wantedSources()} limit $7::bigint + 1) wanted`,
    [...scopeParameters('', kinds, scope), most],
  );
  return rows[0]?.has_more ?? false;
};

/** Asked before every plan: what time a process may take it for that has had no answer yet, and what none may go beyond. */
export const readTime = async (pool: Pool): Promise<StoredTime> => {
  const { rows } = await pool.query<{ database_ms: number; server_ms: number | null }>(
    // Whole milliseconds, as claims have them: the rest of one would be planned again and again.
    `select floor(${ms('clock_timestamp()')})::float8 as database_ms,
       floor(${ms('server_time + (clock_timestamp() - last_success_at)')})::float8 as server_ms from discovery`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error('the table discovery has lost its row');
  return { databaseMs: row.database_ms, serverMs: row.server_ms ?? undefined };
};
