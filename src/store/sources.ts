import type { Pool } from 'pg';
import type { Coverage } from '../domain/coverage.ts';
import type { Lease, SourceFailure, SourceKey, SourceState } from '../domain/source.ts';
import type { Lane, Walk } from '../domain/walk.ts';

interface StateRow {
  readonly kind: string;
  readonly id: string;
  readonly organization_id: string;
  readonly failures: number;
  readonly refused: boolean;
  readonly rest_ms: number;
  readonly held_elsewhere: boolean;
  readonly event_rate: number | null;
  readonly recent_event_rate: number | null;
  readonly coverage: readonly (readonly [pass: number, ranges: readonly (readonly [number, number])[] | null])[];
  readonly walks: readonly WalkRow[];
}

interface WalkRow {
  readonly lane: Lane;
  readonly since: number;
  readonly before: number;
  readonly started_at: number;
  readonly cursor: string | null;
  readonly pages: number;
  readonly empty_pages: number;
  readonly entries: number;
  readonly last_time: number | null;
  readonly in_order: boolean;
  readonly page_limit: number;
  readonly stalls: number;
  readonly stalled_entries: number;
  readonly lookback_ms: number;
}

/** A time as milliseconds since 1970. Exact: only whole milliseconds are ever stored here. */
const ms = (expression: string): string => `(extract(epoch from ${expression}) * 1000)`;

/** Coverage and open walks count only for the filter set in force. */
const state = `
  s.kind, s.id, s.organization_id, s.failures, o.state = 'refused' as refused,
  s.event_rate, s.recent_event_rate,
  greatest(0, extract(epoch from s.next_attempt_at - clock_timestamp()) * 1000)::float8 as rest_ms,
  coalesce((select json_agg(json_build_array(c.pass, (
      select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r) from unnest(c.ranges) r)))
    from coverage c
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash), '[]') as coverage,
  coalesce((select json_agg(json_build_object('lane', w.lane, 'since', ${ms('w.since')}, 'before', ${ms('w.before')},
      'started_at', ${ms('w.started_at')}, 'cursor', w.cursor, 'pages', w.pages, 'empty_pages', w.empty_pages,
      'entries', w.entries, 'last_time', ${ms('w.last_time')}, 'in_order', w.in_order, 'page_limit', w.page_limit,
      'stalls', w.stalls, 'stalled_entries', w.stalled_entries, 'lookback_ms', w.lookback_ms))
    from walks w
    where w.source_kind = s.kind and w.source_id = s.id and w.filter_hash = s.filter_hash), '[]') as walks`;

/**
 * All sources of organizations that are still there, for planning. `organizationIds` limits them to an allow-list.
 * Called for every plan.
 */
export const loadSources = async (
  pool: Pool,
  owner: string,
  organizationIds: readonly string[] | undefined,
): Promise<readonly SourceState[]> => {
  const { rows } = await pool.query<StateRow>(
    `select ${state},
       coalesce(s.lease_until > clock_timestamp() and s.lease_owner <> $1, false) as held_elsewhere
     from sources s join organizations o on o.id = s.organization_id
     where o.state <> 'gone' and ($2::text[] is null or s.organization_id = any($2))
     order by s.last_success_at nulls first, s.kind, s.id`,
    [owner, organizationIds ?? null],
  );
  return rows.map(toSource);
};

/**
 * Takes the lease of a source, with its state as of then. Undefined where somebody else holds it. Every taking is a new
 * epoch, so that whatever an earlier holder (this process included) still has under way writes nothing.
 */
export const claimSource = async (
  pool: Pool,
  source: SourceKey,
  owner: string,
  leaseMs: number,
): Promise<{ lease: Lease; source: SourceState } | undefined> => {
  const claimed = await pool.query<{ lease_epoch: number; commit_seq: number }>(
    // Skips a row that is locked: whoever is writing to it holds the source.
    `with free as (
       select kind, id from sources
       where kind = $1 and id = $2 and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = $3)
       for update skip locked)
     update sources s set lease_owner = $3, lease_epoch = lease_epoch + 1,
       lease_until = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
     from free where s.kind = free.kind and s.id = free.id
     returning lease_epoch::float8, commit_seq::float8`,
    [source.kind, source.id, owner, leaseMs],
  );
  const epoch = claimed.rows[0];
  if (epoch === undefined) return undefined;
  const { rows } = await pool.query<StateRow>(
    `select ${state}, false as held_elsewhere
     from sources s join organizations o on o.id = s.organization_id where s.kind = $1 and s.id = $2`,
    [source.kind, source.id],
  );
  if (rows[0] === undefined) return undefined;
  const row = toSource(rows[0]);
  const { kind, id, organizationId } = row;
  return {
    source: row,
    lease: { kind, id, organizationId, owner, epoch: epoch.lease_epoch, commitSeq: epoch.commit_seq },
  };
};

/**
 * Ends the leases of owners that are known to be dead, so that a restart need not wait for them to run out. Safe even if
 * one lives: the next claim is a new epoch. Called before every plan.
 */
export const releaseDead = async (pool: Pool, isDead: (owner: string) => boolean): Promise<void> => {
  const { rows } = await pool.query<{ owner: string }>(
    'select distinct lease_owner as owner from sources where lease_until > clock_timestamp()',
  );
  const dead = rows.map((row) => row.owner).filter(isDead);
  if (dead.length > 0) await pool.query('update sources set lease_until = null where lease_owner = any($1)', [dead]);
};

/** Lets the lease last longer, while a page is waited for. False where it has gone to somebody else. */
export const renewSource = async (pool: Pool, lease: Lease, leaseMs: number): Promise<boolean> => {
  const { rowCount } = await pool.query(
    `update sources set lease_until = clock_timestamp() + make_interval(secs => $5::float8 / 1000)
     where kind = $1 and id = $2 and lease_epoch = $3 and lease_owner = $4`,
    [lease.kind, lease.id, lease.epoch, lease.owner, leaseMs],
  );
  return rowCount === 1;
};

/** Gives the lease back, so that nobody has to wait for it to run out. Does nothing where it has already gone. */
export const releaseSource = async (pool: Pool, lease: Lease): Promise<void> => {
  await pool.query('update sources set lease_until = null where kind = $1 and id = $2 and lease_epoch = $3', [
    lease.kind,
    lease.id,
    lease.epoch,
  ]);
};

/** Notes that a walk of the source failed, and lets it rest. Does nothing where the lease has gone to somebody else. */
export const recordFailure = async (pool: Pool, lease: Lease, failure: SourceFailure): Promise<void> => {
  await pool.query(
    `update sources set failures = $7, last_failure = $4, last_error = $5, last_attempt_at = clock_timestamp(),
       next_attempt_at = clock_timestamp() + make_interval(secs => $6::float8 / 1000)
     where kind = $1 and id = $2 and lease_epoch = $3`,
    [lease.kind, lease.id, lease.epoch, failure.failure, failure.message, failure.backoffMs, failure.failures],
  );
};

/** Gives every known organization its source, and all sources the horizon and filter set in force. Called by discovery. */
export const syncSources = async (pool: Pool, filterHash: string, horizonMs: number): Promise<void> => {
  await pool.query(
    `insert into sources (kind, id, organization_id, filter_hash, wanted_since)
     select 'organization', o.id, o.id, $1, to_timestamp($2::float8 / 1000) from organizations o
     on conflict (kind, id) do nothing`,
    [filterHash, horizonMs],
  );
  // The horizon moves all the time; rows are not rewritten for less than an hour of it.
  await pool.query(
    `update sources set filter_hash = $1, wanted_since = to_timestamp($2::float8 / 1000)
     where filter_hash <> $1 or abs(extract(epoch from wanted_since) * 1000 - $2::float8) > 3600000`,
    [filterHash, horizonMs],
  );
};

const toSource = (row: StateRow): SourceState => {
  const coverage: Coverage[] = [];
  for (const [pass, ranges] of row.coverage) {
    coverage[pass] = (ranges ?? []).map(([fromMs, toMs]) => ({ fromMs, toMs }));
  }
  return {
    kind: row.kind,
    id: row.id,
    organizationId: row.organization_id,
    failures: row.failures,
    refused: row.refused,
    restMs: row.rest_ms,
    heldElsewhere: row.held_elsewhere,
    eventRate:
      row.event_rate === null || row.recent_event_rate === null
        ? undefined
        : { perHour: row.event_rate, recentPerHour: row.recent_event_rate },
    coverage: Array.from(coverage, (ranges) => ranges ?? []),
    openWalks: row.walks.map(toWalk),
  };
};

const toWalk = (row: WalkRow): Walk => ({
  lane: row.lane,
  claim: { fromMs: row.since, toMs: row.before },
  startedAtMs: row.started_at,
  cursor: row.cursor ?? undefined,
  pages: row.pages,
  emptyPages: row.empty_pages,
  entries: row.entries,
  lastTimeMs: row.last_time ?? undefined,
  inOrder: row.in_order,
  pageLimit: row.page_limit,
  stalls: row.stalls,
  stalledEntries: row.stalled_entries,
  lookbackMs: row.lookback_ms,
});
