import { eq, inArray, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../postgres/db.ts';
import { leftOut } from '../postgres/position-jumps.ts';
import { auditEvents, feedHead } from '../postgres/tables/events.ts';
import { alarmCursors, findingHead } from '../postgres/tables/findings.ts';
import { sinkDeadLetters, sinks } from '../postgres/tables/sinks.ts';

/** What a sink is sent must be noted first. Alarms are noted every 15 s. */
const ALARMS_WITHIN_SECONDS = 180;
/** Between two steps of the detections there are up to 5 minutes. */
const DETECTIONS_WITHIN_SECONDS = 600;

const columns = {
  name: sinks.name,
  type: sinks.kind,
  target: sinks.target,
  position: sinks.position,
  /** Positions behind the end of the feed, without those that a jump left out. */
  lagEvents: sql<number>`greatest(0, ${feedHead.position} - ${sinks.position}
    - ${sql.raw(leftOut('sinks.position', 'feed_head.position'))})::float8`,
  /** Since the oldest event that is not delivered was stored; 0 if all are. */
  lagSeconds: sql<number>`coalesce(extract(epoch from clock_timestamp() - (
    select received_at from audit_events e where e.position > ${sinks.position} order by e.position limit 1)), 0)::float8`,
  delivered: sinks.delivered,
  deadLetters: sql<number>`(select count(*) from sink_dead_letters d where d.sink = ${sinks.name})::integer`,
  /** Since they were too old. */
  skipped: sinks.skipped,
  maxAgeSeconds: sinks.maxAgeSeconds,
  failures: sinks.failures,
  lastError: sinks.lastError,
  lastSuccessAt: sinks.lastSuccessAt,
  nextAttemptAt: sinks.nextAttemptAt,
  /** Who delivers at this moment. */
  heldBy: sql<string | null>`case when ${sinks.leaseUntil} > clock_timestamp() then ${sinks.leaseOwner} end`,
};

/** How a sink stands, from the database alone: the same for every replica. */
export type SinkStatus = Row<typeof columns>;

/** All sinks that there have been, or those of these names. */
export const readSinkStatus = async (
  pool: Pool,
  names: readonly string[] | undefined,
): Promise<readonly SinkStatus[]> => {
  const rows = await db(pool)
    .select({
      head: feedHead.position,
      alarmsNotedAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${alarmCursors.notedAt})::float8`,
      // Of a sink that has all that the detections have found.
      detectionsNotedAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${findingHead.notedAt})::float8`,
      ...columns,
    })
    .from(sinks)
    .crossJoin(feedHead)
    .leftJoin(alarmCursors, eq(alarmCursors.sink, sinks.name))
    .leftJoin(findingHead, eq(findingHead.position, sinks.position))
    .where(names && inArray(sinks.name, names))
    .orderBy(sinks.name);
  return rows.map(({ head, alarmsNotedAgo, detectionsNotedAgo, ...sink }) => {
    if (sink.position > head) return beyondEnd(sink, head);
    if ((alarmsNotedAgo ?? 0) > ALARMS_WITHIN_SECONDS) return notNoted(sink, 'alarms', alarmsNotedAgo);
    const detectionsLate = Math.min(detectionsNotedAgo ?? 0, sink.lagSeconds);
    return detectionsLate > DETECTIONS_WITHIN_SECONDS ? notNoted(sink, 'detections', detectionsLate) : sink;
  });
};

/** It would be sent nothing, and wait without a failure of its own. */
const notNoted = (sink: SinkStatus, what: string, seconds: number | null): SinkStatus => ({
  ...sink,
  failures: Math.max(1, sink.failures),
  lastError: `${what} have not been noted for ${Math.floor(seconds ?? 0)} seconds: the log of the daemon has the reason`,
});

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
  skipped: 0,
  maxAgeSeconds: null,
  failures: 1,
  lastError: reason,
  lastSuccessAt: null,
  nextAttemptAt: null,
  heldBy: null,
});

/** The events that a sink rejected permanently, oldest first. The event is null if it is not kept any more. */
export const readDeadLetters = async (pool: Pool, sink: string, limit: number) =>
  await db(pool)
    .select({
      position: sinkDeadLetters.position,
      reason: sinkDeadLetters.reason,
      refusedAt: sinkDeadLetters.refusedAt,
      organizationId: auditEvents.organizationId,
      id: auditEvents.id,
    })
    .from(sinkDeadLetters)
    .leftJoin(auditEvents, eq(auditEvents.position, sinkDeadLetters.position))
    .where(eq(sinkDeadLetters.sink, sink))
    .orderBy(sinkDeadLetters.position)
    .limit(limit);

export type DeadLetterRow = Awaited<ReturnType<typeof readDeadLetters>>[number];
