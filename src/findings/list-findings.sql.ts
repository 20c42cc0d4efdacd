import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../errors.ts';
import { isTimeout, readOnly } from '../postgres/read-only.ts';

/** The views look through all of their time. */
const TIMEOUT_MS = 20_000;

/** Which findings are asked for. */
export interface AskedFindings {
  /** RFC 3339, inclusive. */
  readonly since: string;
  /** RFC 3339, exclusive; undefined: now. */
  readonly before: string | undefined;
  /** An id. */
  readonly organization: string | undefined;
  readonly severity: string | undefined;
  readonly detection: string | undefined;
  /** List muted ones, too. */
  readonly showMuted: boolean;
  readonly limit: number;
  readonly offset: number;
}

/** A finding, as the view `detections` has it. Its texts come from the entry, and so from the actor. */
export interface ListedFinding {
  readonly detection: string;
  readonly severity: string;
  /** RFC 3339; of the event that names it, and of the first of its events. */
  readonly actionTime: string;
  readonly firstTime: string;
  readonly events: number;
  readonly organizationId: string | null;
  /** Of the organization, else of the account. */
  readonly ownerName: string;
  readonly actor: string | null;
  readonly actorIpAddress: string | null;
  readonly summary: string;
  readonly sourceKind: string;
  readonly sourceId: string;
  readonly id: string;
  readonly muted: boolean;
}

/** How many a rule has found in the time and the organization, whatever else is asked for. */
export interface FindingCount {
  readonly detection: string;
  readonly severity: string;
  readonly found: number;
  /** Of these. */
  readonly muted: number;
}

export interface FindingList {
  readonly counts: readonly FindingCount[];
  /** The newest first. */
  readonly findings: readonly ListedFinding[];
}

/** What the detections find in a time. Rejects with SearchError `timeout` if that takes too long. */
export const listFindings = async (pool: Pool, asked: AskedFindings, signal?: AbortSignal): Promise<FindingList> => {
  const read = async (client: PoolClient) => {
    // Else bursts and sign-ins are looked for in the last 31 days, whatever the time is.
    await client.query("select set_config('orgtrail.bursts_since', $1, true)", [asked.since]);
    const { rows } = await client.query<FindingList>(statement, [
      asked.since,
      asked.before ?? null,
      asked.organization ?? null,
      asked.severity ?? null,
      asked.detection ?? null,
      asked.limit,
      asked.offset,
      asked.showMuted,
    ]);
    return rows[0] ?? { counts: [], findings: [] };
  };
  try {
    return await readOnly(pool, TIMEOUT_MS, read, signal);
  } catch (error) {
    if (isTimeout(error))
      throw new SearchError('timeout', 'the detections take too long: ask about less time', { cause: error });
    throw error;
  }
};

const utc = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const statement = `
  with found as materialized (
    select d.*, exists (select from detection_mutes m where m.detection = d.detection and (m.actor is null or m.actor = d.actor)
      and m.ended_at is null and coalesce(m.muted_until, 'infinity') > now()) as muted
    from detections d
    where d.action_time >= $1 and d.action_time < coalesce($2::timestamptz, 'infinity')
      and ($3::text is null or d.organization_id = $3)),
  listed as (
    select * from found f where ($4::text is null or f.severity = $4) and ($5::text is null or f.detection = $5)
      and ($8 or not f.muted)
    order by f.action_time desc, f.position desc, f.detection limit $6 offset $7)
  select
    (select coalesce(json_agg(c), '[]') from (
       select f.detection, f.severity, count(*)::integer as found,
         count(*) filter (where f.muted)::integer as muted from found f group by f.detection, f.severity) c) as counts,
    (select coalesce(json_agg(json_build_object(
         'detection', l.detection, 'severity', l.severity, 'actionTime', ${utc('l.action_time')}, 'firstTime', ${utc('l.first_time')},
         'events', l.events, 'organizationId', l.organization_id,
         'ownerName', coalesce(l.organization_name, l.organization_id, (select a.name from accounts a where a.id = l.source_id), l.source_id),
         'actor', l.actor, 'actorIpAddress', l.actor_ip_address, 'summary', l.summary,
         'sourceKind', l.source_kind, 'sourceId', l.source_id, 'id', l.id, 'muted', l.muted)
       order by l.action_time desc, l.position desc, l.detection), '[]') from listed l) as findings`;
