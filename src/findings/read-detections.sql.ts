import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../errors.ts';
import { isTimeout, readOnly } from '../postgres/read-only.ts';
import { type Severity, severities } from './finding.ts';

/** The views look through all of their time. */
const TIMEOUT_MS = 20_000;

/** What a detection found, as the view `detections` has it. Its texts come from the entry, and so from the actor. */
export interface DetectionRow {
  readonly detection: string;
  readonly severity: string;
  readonly position: number;
  /** RFC 3339. */
  readonly actionTime: string | null;
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  readonly actor: string | null;
  readonly actorIpAddress: string | null;
  readonly actionType: string | null;
  readonly actionResult: string | null;
  readonly resourceType: string | null;
  readonly resourceId: string | null;
  readonly events: number;
  readonly summary: string;
}

export interface AskedDetections {
  /** RFC 3339, inclusive. */
  readonly since: string;
  /** RFC 3339, exclusive; undefined: now. */
  readonly before?: string | undefined;
  readonly minSeverity: Severity;
  readonly detection?: string | undefined;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

/** What the detections find in a time, the newest first. Rejects with SearchError `timeout` if that takes too long. */
export const readDetections = async (pool: Pool, asked: AskedDetections): Promise<readonly DetectionRow[]> => {
  const read = async (client: PoolClient) => {
    const { rows } = await client.query<DetectionRow>(statement, [
      asked.since,
      asked.before ?? null,
      severities.slice(severities.indexOf(asked.minSeverity)),
      asked.detection ?? null,
      asked.limit,
    ]);
    return rows;
  };
  try {
    return await readOnly(pool, TIMEOUT_MS, read, asked.signal);
  } catch (error) {
    if (isTimeout(error))
      throw new SearchError('timeout', 'the detections take too long: ask about less time', { cause: error });
    throw error;
  }
};

const statement = `
  select detection, severity, position::float8 as position,
    to_char(action_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "actionTime",
    organization_id as "organizationId", organization_name as "organizationName", actor,
    actor_ip_address as "actorIpAddress", action_type as "actionType", action_result as "actionResult",
    resource_type as "resourceType", resource_id as "resourceId", events::float8 as events, summary
  from detections
  where action_time >= $1 and action_time < coalesce($2::timestamptz, 'infinity') and severity = any($3::text[])
    and ($4::text is null or detection = $4)
  order by action_time desc, position desc, detection limit $5`;
