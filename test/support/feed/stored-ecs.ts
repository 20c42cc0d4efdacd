import type { Pool } from 'pg';
import { formatEcs } from '../../../src/formats/ecs.ts';
import type { LogEvent } from '../deploy/sigma-evaluator.ts';

interface EventRow {
  readonly position: number;
  readonly kind: string;
  readonly source: string;
  readonly organization: string;
  readonly name: string | null;
  readonly id: string;
  readonly time: string | null;
  readonly raw: string;
  readonly defects: string[] | null;
}

export interface StoredEvent {
  /** Names it as the column `id` of a detection does. */
  readonly id: string;
  readonly hasTime: boolean;
  /** As a SIEM that reads the format `ecs` has it. */
  readonly ecs: LogEvent;
}

/** All stored events in the format that the Sigma rules are written for. */
export const storedEcs = async (pool: Pool): Promise<readonly StoredEvent[]> => {
  const { rows } = await pool.query<EventRow>(
    `select e.position::float8 as position, e.source_kind as kind, e.source_id as source, e.organization_id as organization,
       o.name, e.id, e.raw::text as raw, e.defects,
       case when e.action_time > '-infinity'
         then to_char(e.action_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end as time
     from audit_events e left join organizations o on o.id = e.organization_id order by e.position`,
  );
  return rows.map((row) => {
    const line = formatEcs({
      position: row.position,
      feedId: '0f8fad5b-d9cb-469f-a165-70867728950e',
      sourceKind: row.kind,
      sourceId: row.source,
      organizationId: row.organization,
      organizationName: row.name,
      accountId: null,
      accountName: null,
      zoneId: null,
      zoneName: null,
      id: row.id,
      actionTime: row.time,
      receivedAt: '2026-10-01T00:00:30.123456Z',
      rawText: row.raw,
      defects: row.defects,
    });
    return { id: row.id, hasTime: row.time !== null, ecs: JSON.parse(line) };
  });
};
