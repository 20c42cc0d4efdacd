import { and, eq, gt, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row, selectList } from '../../postgres/db.ts';
import { databaseTime } from '../../postgres/tables/column-types.ts';
import { sources } from '../../postgres/tables/sources.ts';
import type { Coverage, Range } from '../planning/coverage.ts';
import type { KnownHole, LaneState } from '../planning/lane.ts';
import type { Lane } from '../planning/lanes.ts';
import type { KindPolicy, LaneFailure, Lease, SourceKey, SourceState } from '../planning/source.ts';
import type { Direction } from '../planning/walk.ts';
import { kindOf } from '../sources/registry.ts';

type RangeRow = readonly [fromMs: number, toMs: number];

const { kind, id, eventRate, recentEventRate, largestPage } = sources;
const plainColumns = { kind, id, eventRate, recentEventRate, largestPage };

interface StateRow extends Row<typeof plainColumns> {
  readonly organizationId: string | null;
  readonly refused: boolean;
  readonly heldElsewhere: boolean;
  readonly coverage: readonly (readonly [pass: number, ranges: readonly RangeRow[] | null])[];
  readonly unproven: readonly RangeRow[] | null;
  readonly lanes: readonly { readonly lane: Lane; readonly state: LaneState; readonly rest_ms: number }[];
  readonly holes: readonly (Omit<KnownHole, 'range'> & { readonly range: RangeRow })[];
}

/** What the database says about time, at the moment of the statement. */
export interface StoredTime {
  /** The clock of the database. */
  readonly databaseMs: number;
  /** Cloudflare's time as of the last listing, and the time since then on the clock of the database; undefined before the first. */
  readonly serverMs: number | undefined;
}

/** A time as milliseconds since 1970. Exact for coverage: only whole milliseconds are ever stored there. */
const ms = (expression: string): string => `(extract(epoch from ${expression}) * 1000)`;

/** What a process may know: coverage, lanes and holes of its own filter set, whatever other processes read under. */
const state = (filterHash: string): string => `
  ${selectList('s', plainColumns)}, o.id as "organizationId",
  s.access = 'refused' or s.account_id is null and o.state = 'refused' as refused,
  coalesce((select json_agg(json_build_array(c.pass, (
      select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r) from unnest(c.ranges) r)))
    from coverage c
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash}), '[]') as coverage,
  (select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r)
    from coverage c cross join lateral unnest(c.ranges - c.proven) r
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash} and c.pass = 0) as unproven,
  coalesce((select json_agg(json_build_object('lane', l.lane, 'state', l.state,
      'rest_ms', greatest(0, ${ms('l.next_attempt_at - clock_timestamp()')})))
    from lanes l
    where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = ${filterHash}), '[]') as lanes,
  coalesce((select json_agg(json_build_object('pass', h.pass, 'range', json_build_array(${ms('h.since')}, ${ms('h.before')}),
      'reason', h.reason, 'due', h.next_attempt_at <= clock_timestamp()))
    from coverage_holes h
    where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = ${filterHash}), '[]') as holes`;

/** With what a source belongs to: an organization, or an account, and the organization that this belongs to. */
const OWNERS = `left join accounts a on a.id = s.account_id
  left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)`;

/** Which sources are wanted. */
export interface SourceScope {
  /** Undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  /** `all`; those that an organization which is wanted lists; or these. */
  readonly accounts: 'all' | 'organizations' | readonly string[];
}

/**
 * All sources of the kinds in force whose owner is still there, for planning. `scope` limits them to allow-lists. Called for every plan.
 */
export const loadSources = async (
  pool: Pool,
  owner: string,
  kinds: readonly Pick<KindPolicy, 'kind' | 'filterHash'>[],
  { organizationIds, accounts }: SourceScope,
): Promise<readonly SourceState[]> => {
  const { rows } = await pool.query<StateRow>(
    `select ${state('k.filter_hash')},
       coalesce(s.lease_until > clock_timestamp() and s.lease_owner <> $1, false) as "heldElsewhere"
     from sources s join unnest($2::text[], $3::text[]) as k (kind, filter_hash) on k.kind = s.kind ${OWNERS}
     where coalesce(a.state, o.state) <> 'gone' and case when s.account_id is null then $4::text[] is null or o.id = any($4)
       when $5::text[] is not null then a.id = any($5)
       else not $6 or exists (select from account_organizations shown where shown.account_id = a.id and shown.missed = 0
         and shown.organization_id is not null and ($4 is null or shown.organization_id = any($4))) end
     order by s.last_attempt_at nulls first, s.kind, s.id`,
    [
      owner,
      kinds.map(({ kind }) => kind),
      kinds.map(({ filterHash }) => filterHash),
      organizationIds ?? null,
      typeof accounts === 'string' ? null : accounts,
      accounts === 'organizations',
    ],
  );
  return rows.map(toSource);
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

/**
 * Takes the lease of a source, with its state as of then. Undefined if another process holds it. Every taking is a new
 * epoch, so that whatever an earlier holder (this process included) still has under way writes nothing.
 */
export const claimSource = async (
  pool: Pool,
  source: SourceKey,
  owner: string,
  leaseMs: number,
  filterHash: string,
): Promise<{ lease: Lease; source: SourceState } | undefined> => {
  const claimed = await pool.query<Row<typeof epochColumns>>(
    // Skips a row that is locked: the process that is writing to it holds the source.
    `with free as (
       select kind, id from sources
       where kind = $1 and id = $2 and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = $3)
       for update skip locked)
     update sources s set lease_owner = $3, lease_epoch = lease_epoch + 1,
       lease_until = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
     from free where s.kind = free.kind and s.id = free.id
     returning ${selectList('s', epochColumns)}`,
    [source.kind, source.id, owner, leaseMs],
  );
  const epoch = claimed.rows[0];
  if (epoch === undefined) return undefined;
  const { rows } = await pool.query<StateRow>(
    `select ${state('$3')}, false as "heldElsewhere"
     from sources s ${OWNERS} where s.kind = $1 and s.id = $2`,
    [source.kind, source.id, filterHash],
  );
  if (rows[0] === undefined) return undefined;
  const row = toSource(rows[0]);
  return { source: row, lease: { kind: row.kind, id: row.id, organizationId: row.organizationId, owner, ...epoch } };
};

const epochColumns = { epoch: sources.leaseEpoch, commitSeq: sources.commitSeq };

/**
 * Ends the leases of owners that are known to be dead, so that a restart need not wait for them to run out. Safe even if
 * one lives: the next claim is a new epoch. Called before every plan.
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

const ofLease = (lease: Lease) => and(eq(kind, lease.kind), eq(id, lease.id), eq(sources.leaseEpoch, lease.epoch));

/** Lets the lease last longer, while a page is waited for. False if it has gone to another process. */
export const renewSource = async (pool: Pool, lease: Lease, leaseMs: number): Promise<boolean> => {
  const { rowCount } = await db(pool)
    .update(sources)
    .set({ leaseUntil: sql`clock_timestamp() + make_interval(secs => ${leaseMs}::float8 / 1000)` })
    .where(and(ofLease(lease), eq(sources.leaseOwner, lease.owner)));
  return rowCount === 1;
};

/** Gives the lease back, so that no process has to wait for it to run out. Does nothing if it has already gone. */
export const releaseSource = async (pool: Pool, lease: Lease): Promise<void> => {
  await db(pool).update(sources).set({ leaseUntil: null }).where(ofLease(lease));
};

/** Notes that a lane failed, and lets it rest. Does nothing if the lease has gone to another process. */
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

/** What the views show of the kinds in force. */
const KINDS = `unnest($1::text[], $2::text[], $3::float8[], $4::text[]) as k (kind, filter_hash, horizon_ms, owner)`;

/**
 * Gives every known organization and account its sources, one of each kind in force, and all sources of these kinds the horizon and filter
 * set in force, for the views. `historyMs`: how much is wanted as of any moment. Called by discovery.
 */
export const syncSources = async (
  pool: Pool,
  kinds: readonly KindPolicy[],
  nowMs: number,
  historyMs: number,
): Promise<void> => {
  const parameters = [
    kinds.map(({ kind }) => kind),
    kinds.map(({ filterHash }) => filterHash),
    kinds.map(({ horizonMs }) => horizonMs(nowMs)),
    kinds.map((each) => kindOf(each).owner),
    historyMs,
  ];
  await pool.query(
    `with owners (owner, id) as (select 'organization', id from organizations union all select 'account', id from accounts)
     insert into sources (kind, id, organization_id, account_id, filter_hash, wanted_since, wanted_history)
     select k.kind, owners.id, case owner when 'organization' then owners.id end, case owner when 'account' then owners.id end,
       k.filter_hash, to_timestamp(k.horizon_ms / 1000), make_interval(secs => $5::float8 / 1000)
     from owners join ${KINDS} using (owner) order by k.kind, owners.id
     on conflict (kind, id) do nothing`,
    parameters,
  );
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
};

/**
 * Takes back what was claimed of the future: of a server whose clock was ahead, or by version 0.1. Returns how many rows of
 * coverage had some. `delaysMs`: of pass 0, 1, …: each may claim up to its delay before now.
 */
export const trimFuture = async (pool: Pool, delaysMs: readonly number[]): Promise<number> => {
  const { rows } = await pool.query<{ trimmed: number }>('select orgtrail_trim_coverage($1) as trimmed', [delaysMs]);
  return rows[0]?.trimmed ?? 0;
};

/** What kinds of resources a source has had events of around a time: for telling the entries of one second apart. */
export const readResourceTypes = async (pool: Pool, source: SourceKey, range: Range): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ resource_type: string }>(
    `select resource_type from (
       select resource_type from audit_events where source_kind = $1 and source_id = $2
         and action_time between to_timestamp($3::float8 / 1000) - interval '7 days'
           and to_timestamp($4::float8 / 1000) + interval '7 days' limit 20000) near
     where resource_type <> '' group by 1 order by count(*) desc, 1 limit 20`,
    [source.kind, source.id, range.fromMs, range.toMs],
  );
  return rows.map((row) => row.resource_type);
};

/** The column that an index finds events of a source by. An entry that names another account is passed over: it is looked for, not relied on. */
const ownerColumn = (kind: string): string => `${kindOf({ kind }).owner}_id`;

/**
 * Where the newest part of a range begins that holds so many stored events of the source; all of it if it holds fewer. Whole seconds, and a
 * second at least.
 */
export const newestPart = async (
  pool: Pool,
  { kind, id }: SourceKey,
  { fromMs, toMs }: Range,
  entries: number,
): Promise<number> => {
  const { rows } = await pool.query<{ time_ms: number }>(
    `select ${ms('action_time')}::float8 as time_ms from audit_events
     where source_kind = $1 and source_id = $2 and ${ownerColumn(kind)} = $2
       and action_time >= to_timestamp($3::float8 / 1000) and action_time < to_timestamp($4::float8 / 1000)
     order by action_time desc offset $5 limit 1`,
    [kind, id, fromMs, toMs, entries],
  );
  const beforeMs = rows[0]?.time_ms;
  if (beforeMs === undefined) return fromMs;
  const wholeMs = Math.ceil((beforeMs + 1) / 1_000) * 1_000;
  return Math.max(fromMs, Math.min(wholeMs, Math.floor((toMs - 1_000) / 1_000) * 1_000));
};

/**
 * The time of the first stored event of the source in a range, or of the last one (`desc`), in milliseconds, rounded down. Undefined if there is
 * none, and if another filter set has read some of the source.
 */
export const nearestStored = async (
  pool: Pool,
  { kind, id }: SourceKey,
  { fromMs, toMs }: Range,
  { direction, filterHash }: { readonly direction: Direction; readonly filterHash: string },
): Promise<number | undefined> => {
  const { rows } = await pool.query<{ time_ms: number }>(
    `select floor(${ms('action_time')})::float8 as time_ms from audit_events
     where source_kind = $1 and source_id = $2 and ${ownerColumn(kind)} = $2
       and action_time >= to_timestamp($3::float8 / 1000) and action_time < to_timestamp($4::float8 / 1000)
       and not exists (select from coverage c where c.source_kind = $1 and c.source_id = $2 and c.filter_hash <> $5)
     order by action_time ${direction === 'asc' ? 'asc' : 'desc'} limit 1`,
    [kind, id, fromMs, toMs, filterHash],
  );
  return rows[0]?.time_ms;
};

const toRange = ([fromMs, toMs]: RangeRow): Range => ({ fromMs, toMs });

const toSource = (stored: StateRow): SourceState => {
  const { coverage: read, unproven, lanes, holes, eventRate: perHour, recentEventRate: recentPerHour, ...row } = stored;
  const coverage: Coverage[] = [];
  for (const [pass, ranges] of read) coverage[pass] = (ranges ?? []).map(toRange);
  return {
    ...row,
    eventRate: perHour === null || recentPerHour === null ? undefined : { perHour, recentPerHour },
    coverage: Array.from(coverage, (ranges) => ranges ?? []),
    unproven: unproven?.map(toRange),
    lanes: Object.fromEntries(lanes.map(({ lane, state }) => [lane, state])),
    restMs: Object.fromEntries(lanes.map(({ lane, rest_ms }) => [lane, rest_ms])),
    holes: holes.map(({ range, ...hole }) => ({ ...hole, range: toRange(range) })),
  };
};
