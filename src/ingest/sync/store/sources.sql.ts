import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm';
import { type Pool, type PoolClient, Query } from 'pg';
import { onConnection } from '../../../postgres/pool.ts';
import { db, type Row, selectList } from '../../../postgres/queries.ts';
import { accounts, coverageHoles, organizations, sources } from '../../../postgres/tables/sources.ts';
import type { Coverage, Range } from '../../planning/coverage.ts';
import type { KnownHole, LaneState } from '../../planning/lane.ts';
import type { KindPolicy, SourceKey, SourceState } from '../../planning/source.ts';
import { type Lane, lanes } from '../../planning/walk.ts';
import { kindOf } from '../../sources/registry.ts';
import type { SourceSurvey } from '../ports.ts';

export interface StoredTime {
  readonly databaseMs: number;
  /** As of the last listing, plus the time since then; undefined before the first. */
  readonly serverMs: number | undefined;
}

export interface SourceScope {
  readonly organizationIds: readonly string[] | undefined;
  /** `all`; those that an organization which is wanted lists; or these. */
  readonly accounts: 'all' | 'organizations' | readonly string[];
}

/**
 * SQL: the wanted sources as `s`, what is in force for each as `k`, and what else is joined; with `scopeParameters`.
 */
export const wantedSources = (joins = ''): string => `sources s
     join unnest($2::text[], $3::text[]) as k (kind, filter_hash) on k.kind = s.kind ${SOURCE_OWNERS} ${joins}
     where coalesce(a.state, o.state) <> 'gone' and case when s.account_id is null then $4::text[] is null or o.id = any($4)
       when $5::text[] is not null then a.id = any($5)
       -- What a listing has missed is read until it is gone.
       else not $6 or exists (select from account_organizations shown where shown.account_id = a.id
         and shown.organization_id is not null and ($4 is null or shown.organization_id = any($4))) end`;

/** SQL: of sources that are alike. */
const PLAN_ORDER = 'order by s.last_attempt_at nulls first, s.kind, s.id';

const HELD_ELSEWHERE = `coalesce(s.lease_until > clock_timestamp() and s.lease_owner <> $1, false) as "heldElsewhere"`;

type FilteredKind = Pick<KindPolicy, 'kind' | 'filterHash'>;

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

/** Wanted sources whose owner is still there, or those of `keys`. */
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

/** Asked before every plan: what time it is for a process without an answer yet, and what none may go beyond. */
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

const restOf = (lane: Lane): string =>
  `(max(${ms('l.next_attempt_at - clock_timestamp()')}) filter (where l.lane = '${lane}'))::float8`;

/** In the order of `loadSources`: what changes without a commit, and a version that every commit, failure and due hole
 * changes. Each table is read once, in no order: a tenth of the time that all of their state takes. */
export const surveySources = async (
  pool: Pool,
  owner: string,
  kinds: readonly FilteredKind[],
  scope: SourceScope,
  take: (survey: SourceSurvey) => void,
): Promise<void> => {
  const joins = `left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = k.filter_hash and c.pass = 0
       left join moved on moved.kind = s.kind and moved.id = s.id and moved.filter_hash = k.filter_hash
       left join holed on holed.kind = s.kind and holed.id = s.id and holed.filter_hash = k.filter_hash`;
  await eachRow(
    pool,
    `with moved as (
       select l.source_kind as kind, l.source_id as id, l.filter_hash,
         bool_or(l.lane = 'live' and l.state ? 'walk') as walking, ${lanes.map((lane) => `${restOf(lane)} as ${lane}`).join(', ')}
       from lanes l where l.next_attempt_at > clock_timestamp() or l.lane = 'live' and l.state ? 'walk'
       group by l.source_kind, l.source_id, l.filter_hash),
     holed as (
       select h.source_kind as kind, h.source_id as id, h.filter_hash, count(*) as holes,
         count(*) filter (where h.next_attempt_at <= clock_timestamp()) as due
       from coverage_holes h group by h.source_kind, h.source_id, h.filter_hash)
     select s.kind, s.id,
       concat_ws('/', s.lease_epoch, s.commit_seq, extract(epoch from s.last_attempt_at), holed.holes, holed.due),
       ${REFUSED}, ${HELD_ELSEWHERE}, coalesce(moved.walking, false), s.event_rate, s.recent_event_rate, s.largest_page,
       ${ms('lower(c.ranges)')}::float8, ${ms('upper(c.ranges)')}::float8, ${lanes.map((lane) => `moved.${lane}`).join(', ')}
     from ${wantedSources(joins)}
     ${PLAN_ORDER}`,
    scopeParameters(owner, kinds, scope),
    (row) => take(toSurvey(row)),
  );
};

const toSurvey = (row: TextRow): SourceSurvey => {
  const [
    kind,
    id,
    version,
    refused,
    heldElsewhere,
    walking,
    perHour,
    recentPerHour,
    largestPage,
    fromMs,
    toMs,
    ...rests
  ] = row;
  if (typeof kind !== 'string' || typeof id !== 'string') throw new Error('a source has lost its key');
  return {
    kind,
    id,
    version: version ?? '',
    refused: refused === 't',
    heldElsewhere: heldElsewhere === 't',
    walking: walking === 't',
    eventRate:
      perHour == null || recentPerHour == null
        ? undefined
        : { perHour: Number(perHour), recentPerHour: Number(recentPerHour) },
    largestPage: Number(largestPage),
    readSpan: fromMs == null || toMs == null ? undefined : { fromMs: Number(fromMs), toMs: Number(toMs) },
    restMs: rests.every((rest) => rest === null) ? nothingRests : restsOf(rests),
  };
};

const nothingRests = {};

const restsOf = (rests: TextRow): SourceSurvey['restMs'] =>
  Object.fromEntries(lanes.map((lane, n) => [lane, Math.max(0, Number(rests[n] ?? 0))]));

type TextRow = readonly (string | null)[];

/** What the driver's queries have beside what its types say. */
interface StreamedQuery {
  callback: (error: Error | null) => void;
  handleDataRow: (message: { readonly fields: TextRow }) => void;
}

/** Hands over each row as it comes: of tens of thousands, no two are in memory at once. Rejects with what `take` threw,
 * after the last row. */
const eachRow = async (pool: Pool, text: string, values: readonly unknown[], take: (row: TextRow) => void) => {
  let failure: { readonly error: unknown } | undefined;
  const read = (client: PoolClient) =>
    new Promise<void>((resolve, reject) => {
      const query = new Query({ text, values: [...values] }) as Query & StreamedQuery;
      query.callback = (error) => (error === null ? resolve() : reject(error));
      query.handleDataRow = ({ fields }) => {
        if (failure !== undefined) return;
        try {
          take(fields);
        } catch (error) {
          failure = { error };
        }
      };
      client.query(query);
    });
  await onConnection(pool.connect(), read);
  if (failure !== undefined) throw failure.error;
};

type RangeRow = readonly [fromMs: number, toMs: number];

const { kind, id, eventRate, recentEventRate, largestPage } = sources;
const plainColumns = { kind, id, eventRate, recentEventRate, largestPage };

export interface SourceRow extends Row<typeof plainColumns> {
  readonly organizationId: string | null;
  readonly refused: boolean;
  readonly heldElsewhere: boolean;
  readonly coverage: readonly (readonly [pass: number, ranges: readonly RangeRow[] | null])[];
  readonly unproven: readonly RangeRow[] | null;
  readonly readBefore: readonly RangeRow[] | null;
  readonly lanes: readonly { readonly lane: Lane; readonly state: LaneState; readonly rest_ms: number }[];
  readonly holes: readonly (Omit<KnownHole, 'range'> & { readonly range: RangeRow })[];
}

/** SQL: milliseconds since 1970. Exact for coverage: only whole milliseconds are ever stored there. */
export const ms = (expression: string): string => `(extract(epoch from ${expression}) * 1000)`;

export const REFUSED = `(s.access = 'refused' or s.account_id is null and o.state = 'refused')`;

/** SQL: coverage, lanes and holes of a process's own filter set. */
const sourceColumns = (filterHash: string): string => `
  ${selectList('s', plainColumns)}, o.id as "organizationId",
  ${REFUSED} as refused,
  coalesce((select json_agg(json_build_array(c.pass, (
      select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r) from unnest(c.ranges) r)))
    from coverage c
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash}), '[]') as coverage,
  (select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r)
    from coverage c cross join lateral unnest(c.ranges - c.proven) r
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash} and c.pass = 0) as unproven,
  (select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r)
    from coverage c cross join lateral unnest(c.read_before) r
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash} and c.pass = 0) as "readBefore",
  coalesce((select json_agg(json_build_object('lane', l.lane, 'state', l.state,
      'rest_ms', greatest(0, ${ms('l.next_attempt_at - clock_timestamp()')})))
    from lanes l
    where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = ${filterHash}), '[]') as lanes,
  coalesce((select json_agg(json_build_object('pass', h.pass, 'range', json_build_array(${ms('h.since')}, ${ms('h.before')}),
      'reason', h.reason, 'due', h.next_attempt_at <= clock_timestamp()))
    from coverage_holes h
    where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = ${filterHash}), '[]') as holes`;

/** SQL: an organization, or an account and the organization that it belongs to. */
const SOURCE_OWNERS = `left join accounts a on a.id = s.account_id
  left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)`;

const toRange = ([fromMs, toMs]: RangeRow): Range => ({ fromMs, toMs });

export const toSource = (stored: SourceRow): SourceState => {
  const {
    coverage: read,
    unproven,
    readBefore,
    lanes,
    holes,
    eventRate: perHour,
    recentEventRate: recentPerHour,
    ...row
  } = stored;
  const coverage: Coverage[] = [];
  for (const [pass, ranges] of read) coverage[pass] = (ranges ?? []).map(toRange);
  return {
    ...row,
    eventRate: perHour === null || recentPerHour === null ? undefined : { perHour, recentPerHour },
    coverage: Array.from(coverage, (ranges) => ranges ?? []),
    unproven: unproven?.map(toRange),
    readBefore: readBefore?.map(toRange),
    lanes: Object.fromEntries(lanes.map(({ lane, state }) => [lane, state])),
    restMs: Object.fromEntries(lanes.map(({ lane, rest_ms }) => [lane, rest_ms])),
    holes: holes.map(({ range, ...hole }) => ({ ...hole, range: toRange(range) })),
  };
};

const KINDS = `unnest($1::text[], $2::text[], $3::float8[], $4::text[]) as k (kind, filter_hash, horizon_ms, owner)`;

/** Gives every known owner its sources, and the kinds in force their horizon and filter set, for the views.
 * `historyMs`: how much is wanted at any time. `accountIds`: no more than these accounts' sources, which are new. Returns
 * how many sources are new. */
export const syncSources = async (
  pool: Pool,
  kinds: readonly KindPolicy[],
  nowMs: number,
  historyMs: number,
  accountIds?: readonly string[],
) => {
  const parameters = [
    kinds.map(({ kind }) => kind),
    kinds.map(({ filterHash }) => filterHash),
    kinds.map(({ horizonMs }) => horizonMs(nowMs)),
    kinds.map((each) => kindOf(each).owner),
    historyMs,
  ];
  const { rowCount } = await pool.query(
    `with owners (owner, id) as (select 'organization', id from organizations where $6::text[] is null
       union all select 'account', id from accounts where $6 is null or id = any($6))
     insert into sources (kind, id, organization_id, account_id, filter_hash, wanted_since, wanted_history)
     select k.kind, owners.id, case owner when 'organization' then owners.id end, case owner when 'account' then owners.id end,
       k.filter_hash, to_timestamp(k.horizon_ms / 1000), make_interval(secs => $5::float8 / 1000)
     from owners join ${KINDS} using (owner)
     where not exists (select from sources s where s.kind = k.kind and s.id = owners.id) order by k.kind, owners.id
     on conflict (kind, id) do nothing`,
    [...parameters, accountIds ?? null],
  );
  if (accountIds !== undefined) return rowCount ?? 0;
  // The horizon moves all the time; rows are not rewritten for less than an hour of it.
  await pool.query(
    `with old as (
       select s.kind, s.id, k.filter_hash, k.horizon_ms from sources s join ${KINDS} on k.kind = s.kind
       where s.filter_hash <> k.filter_hash or s.wanted_history is distinct from make_interval(secs => $5::float8 / 1000)
         or abs(extract(epoch from s.wanted_since) * 1000 - k.horizon_ms) > 3600000
       order by s.kind, s.id for update of s)
     update sources s set filter_hash = old.filter_hash, wanted_since = to_timestamp(old.horizon_ms / 1000),
       wanted_history = make_interval(secs => $5::float8 / 1000)
     from old where s.kind = old.kind and s.id = old.id`,
    parameters,
  );
  return rowCount ?? 0;
};

/** Takes back what was claimed of the future, of a server whose clock was ahead. `delaysMs`: of pass 0, 1, …: each may
 * claim up to its delay before now. */
export const trimFuture = async (pool: Pool, delaysMs: readonly number[]): Promise<number> => {
  const { rows } = await pool.query<{ trimmed: number }>('select orgtrail_trim_coverage($1) as trimmed', [delaysMs]);
  return rows[0]?.trimmed ?? 0;
};

/** Time that the API serves neither by itself nor in parts, of the first reading. */
export type CoverageHole = Readonly<Pick<typeof coverageHoles.$inferSelect, 'since' | 'before' | 'reason' | 'message'>>;

interface OrganizationHole extends CoverageHole {
  readonly sourceKind: string;
  readonly sourceId: string;
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  readonly accountName: string | null;
}

export interface WantedHoles {
  /** All holes, not only those listed. */
  readonly seconds: number;
  /** Oldest first, no more than 1,000. */
  readonly holes: readonly OrganizationHole[];
}

export interface HoleScope {
  readonly kinds: readonly Pick<KindPolicy, 'kind' | 'filterHash'>[];
  readonly organizationIds: readonly string[] | undefined;
  /** Undefined: those of these organizations. */
  readonly accountIds?: readonly string[] | undefined;
  /** Undefined: what is wanted of each source as of now. */
  readonly window: { readonly sinceMs: number; readonly untilMs: number } | undefined;
}

const MAX_HOLES = 1_000;

export const readHoles = async (
  pool: Pool,
  { kinds, organizationIds, accountIds, window }: HoleScope,
): Promise<WantedHoles> => {
  const { since, before, reason, message, pass, sourceKind, sourceId } = coverageHoles;
  const { wantedSince, wantedHistory } = sources;
  const earliest = sql`to_timestamp(${window?.sinceMs ?? null}::float8 / 1000)`;
  const latest = sql`to_timestamp(${window?.untilMs ?? null}::float8 / 1000)`;
  const rows = await db(pool)
    .select({
      sourceKind,
      sourceId,
      organizationId: organizations.id,
      organizationName: organizations.name,
      accountName: accounts.name,
      since,
      before,
      reason,
      message,
      seconds: sql<number>`(sum(extract(epoch from ${before} - ${since})) over ())::float8`,
    })
    .from(coverageHoles)
    .innerJoin(sources, and(eq(sources.kind, sourceKind), eq(sources.id, sourceId)))
    .leftJoin(accounts, eq(accounts.id, sources.accountId))
    .leftJoin(organizations, eq(organizations.id, sql`coalesce(${sources.organizationId}, ${accounts.organizationId})`))
    .where(
      and(
        eq(pass, 0),
        or(...kinds.map(({ kind, filterHash }) => and(eq(sourceKind, kind), eq(coverageHoles.filterHash, filterHash)))),
        sql`coalesce(${accounts.state}, ${organizations.state}) <> 'gone'`,
        accountIds
          ? or(
              and(isNull(sources.accountId), organizationIds && inArray(organizations.id, organizationIds)),
              inArray(sources.accountId, accountIds),
            )
          : organizationIds && inArray(organizations.id, organizationIds),
        sql`${before} > coalesce(${earliest}, ${wantedSince}, '-infinity')`,
        sql`${before} > coalesce(${earliest}, now() - ${wantedHistory}, '-infinity')`,
        sql`${since} < coalesce(${latest}, 'infinity')`,
      ),
    )
    .orderBy(since, sourceKind, sourceId)
    .limit(MAX_HOLES);
  return { seconds: rows[0]?.seconds ?? 0, holes: rows.map(({ seconds: _, ...hole }) => hole) };
};
