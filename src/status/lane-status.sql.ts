import { type SQL, sql } from 'drizzle-orm';
import type { SourceKey } from '../ingest/planning/source.ts';
import { syncStatus } from '../postgres/tables/sources.ts';
import type { LaneTrouble } from './health.ts';
import { mayBeAmong } from './sources/source-keys.sql.ts';

type Keys = readonly SourceKey[] | undefined;

const joined = (name: string): SQL =>
  sql.raw(
    `${name}.source_kind = sources.kind and ${name}.source_id = sources.id and ${name}.filter_hash = sources.filter_hash`,
  );

/** How far coverage reaches, of any pass, and where that of the first reading begins. */
const reach = (keys: Keys) => sql`(select source_kind, source_id, filter_hash, max(upper(ranges)) as read_until,
    min(lower(ranges)) filter (where pass = 0) as read_since
  from coverage where ${mayBeAmong(keys, 'coverage')} group by source_kind, source_id, filter_hash) reach`;

const worked = (
  keys: Keys,
) => sql`(select source_kind, source_id, filter_hash, count(state -> 'walk')::integer as open_walks,
    coalesce(max(last_success_at) filter (where lane = 'live'), max(last_success_at)) as last_success_at
  from lanes where ${mayBeAmong(keys, 'lanes')} group by source_kind, source_id, filter_hash) worked`;

const troubled = (
  keys: Keys,
) => sql`(select source_kind, source_id, filter_hash, max(failures) as failures, min(next_attempt_at) as next_attempt_at,
    (array_agg(last_failure order by failures desc, last_attempt_at desc))[1] as last_failure,
    (array_agg(last_error order by failures desc, last_attempt_at desc))[1] as last_error,
    json_agg(json_build_object('lane', lane, 'failures', failures, 'lastFailure', last_failure, 'lastError', last_error)
      order by array_position(array['live', 'settle', 'backfill', 'scrub'], lane)) as failing_lanes
  from lanes where failures > 0 and ${mayBeAmong(keys, 'lanes')} group by source_kind, source_id, filter_hash) troubled`;

/**
 * What the view sync_status says of lanes, for all sources at once, or for those of `keys`: the view looks up the lanes of each, which
 * takes seconds for tens of thousands. To be joined to `sources`.
 */
export const laneJoins = (keys: Keys) => ({
  reach: { table: reach(keys), on: joined('reach') },
  worked: { table: worked(keys), on: joined('worked') },
  troubled: { table: troubled(keys), on: joined('troubled') },
});

/** What of it decides the state of a source, and no more. To be joined to `sources`. */
export const failureJoins = {
  ahead: {
    table: sql`(select source_kind, source_id, filter_hash, max(upper(ranges)) as read_until
      from coverage where upper(ranges) > clock_timestamp() group by source_kind, source_id, filter_hash) ahead`,
    on: joined('ahead'),
  },
  first: {
    table: sql`(select source_kind, source_id, filter_hash, lower(ranges) as read_since from coverage where pass = 0) first`,
    on: joined('first'),
  },
  failed: {
    table: sql`(select source_kind, source_id, filter_hash, max(failures) as failures,
        (array_agg(last_failure order by failures desc, last_attempt_at desc))[1] as last_failure
      from lanes where failures > 0 group by source_kind, source_id, filter_hash) failed`,
    on: joined('failed'),
  },
};

const instantOrNull = (time: SQL): SQL<Date | null> => time.mapWith(syncStatus.lastSuccessAt);

/** The oldest time that is wanted of a source. */
const horizon = sql.raw('least(now(), greatest(sources.wanted_since, now() - sources.wanted_history))');

/** Seconds from the horizon to what is collected first, as of `readSince`: all that is wanted if that is null. */
export const unreadHistory = (readSince: SQL): SQL<number> =>
  sql`extract(epoch from least(now(), greatest(coalesce(${readSince}, now()), ${horizon})) - ${horizon})::float8`;

export const laneColumns = {
  failures: sql<number>`coalesce(troubled.failures, 0)`,
  lastSuccessAt: instantOrNull(sql`worked.last_success_at`),
  nextAttemptAt: instantOrNull(sql`troubled.next_attempt_at`),
  lastFailure: sql<string | null>`troubled.last_failure`,
  lastError: sql<string | null>`troubled.last_error`,
  openWalks: sql<number>`coalesce(worked.open_walks, 0)`,
  /** How far its coverage, of any pass, reaches beyond now. */
  futureSeconds: sql<number | null>`extract(epoch from reach.read_until - clock_timestamp())::float8`,
  /** From the horizon to now. */
  wantedSeconds: sql<number>`extract(epoch from now() - ${horizon})::float8`,
  /** From the horizon to the oldest time that is collected. */
  unreadHistorySeconds: unreadHistory(sql`reach.read_since`),
  /** The lanes that are failing, the most urgent first; before them `coverage`, if it claims what cannot be. */
  failingLanes: sql<readonly LaneTrouble[]>`coalesce(troubled.failing_lanes, '[]')`,
};
