import type { Pool } from 'pg';
import { leftOut } from '../postgres/position-jumps.ts';

/** How a sink stands, from the database alone: the same for every replica. */
export interface SinkStatus {
  readonly name: string;
  readonly type: string;
  readonly target: string;
  readonly position: number;
  /** Positions behind the end of the feed, without those that a jump left out. */
  readonly lagEvents: number;
  /** Since the oldest event that is not delivered was stored; 0 if all are. */
  readonly lagSeconds: number;
  readonly delivered: number;
  readonly deadLetters: number;
  readonly failures: number;
  readonly lastError: string | null;
  readonly lastSuccessAt: Date | null;
  readonly nextAttemptAt: Date | null;
  /** Who delivers at this moment. */
  readonly heldBy: string | null;
}

/** All sinks that there have been, or those of these names. */
export const readSinkStatus = async (
  pool: Pool,
  names: readonly string[] | undefined,
): Promise<readonly SinkStatus[]> => {
  const { rows } = await pool.query<SinkStatus & { readonly head: number }>(
    `select head.position::float8 as head, s.name, s.kind as type, s.target, s.position::float8,
       greatest(0, head.position - s.position - ${leftOut('s.position', 'head.position')})::float8 as "lagEvents",
       coalesce(extract(epoch from clock_timestamp() - (
         select received_at from audit_events e where e.position > s.position order by e.position limit 1)), 0)::float8 as "lagSeconds",
       s.delivered::float8, (select count(*) from sink_dead_letters d where d.sink = s.name)::integer as "deadLetters",
       s.failures, s.last_error as "lastError", s.last_success_at as "lastSuccessAt",
       s.next_attempt_at as "nextAttemptAt",
       case when s.lease_until > clock_timestamp() then s.lease_owner end as "heldBy"
     from sinks s, feed_head head where $1::text[] is null or s.name = any($1) order by s.name`,
    [names ?? null],
  );
  return rows.map(({ head, ...sink }) => (sink.position > head ? beyondEnd(sink, head) : sink));
};

/** No delivery brings a sink there, and it would wait there until the feed has caught up: as long as it stands there, it fails. */
const beyondEnd = (sink: SinkStatus, head: number): SinkStatus => ({
  ...sink,
  failures: Math.max(1, sink.failures),
  lastError: `its position, ${sink.position}, is beyond the end of the feed, ${head}: the owner of the schema can set it back by orgtrail sink replay`,
});

/** A sink whose status cannot be read, and why. */
export const unknownSink = (name: string, type: string, reason: string): SinkStatus => ({
  name,
  type,
  target: '',
  position: 0,
  lagEvents: 0,
  lagSeconds: 0,
  delivered: 0,
  deadLetters: 0,
  failures: 1,
  lastError: reason,
  lastSuccessAt: null,
  nextAttemptAt: null,
  heldBy: null,
});

export interface DeadLetterRow {
  readonly position: number;
  readonly reason: string;
  readonly refusedAt: Date;
  readonly organizationId: string | null;
  readonly id: string | null;
}

/** The events that a sink rejected permanently, oldest first. */
export const readDeadLetters = async (pool: Pool, sink: string, limit: number): Promise<readonly DeadLetterRow[]> => {
  const { rows } = await pool.query<DeadLetterRow>(
    `select d.position::float8, d.reason, d.refused_at as "refusedAt", e.organization_id as "organizationId", e.id
     from sink_dead_letters d left join audit_events e on e.position = d.position
     where d.sink = $1 order by d.position limit $2`,
    [sink, limit],
  );
  return rows;
};
