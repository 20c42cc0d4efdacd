import { and, desc, eq, inArray, lt, min, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { leftOut } from '../postgres/pool.ts';
import { db, type Row } from '../postgres/queries.ts';
import { alarmCursors, auditEvents, feedHead, findingHead, sinkDeadLetters, sinks } from '../postgres/tables/events.ts';
import { organizations } from '../postgres/tables/sources.ts';
import type { DeliveryObserver } from './ports.ts';

/** Alarms are noted every 15 s, before sinks are sent them. */
const ALARMS_WITHIN_SECONDS = 180;
/** The detections pause up to 5 minutes between two steps. */
const DETECTIONS_WITHIN_SECONDS = 600;

const sinkColumns = {
  name: sinks.name,
  type: sinks.kind,
  target: sinks.target,
  position: sinks.position,
  /** Without positions that a jump left out. */
  lagEvents: sql<number>`greatest(0, ${feedHead.position} - ${sinks.position}
    - ${sql.raw(leftOut('sinks.position', 'feed_head.position'))})::float8`,
  /** Age of the oldest stored event that is not delivered; 0 if none. */
  lagSeconds: sql<number>`coalesce(extract(epoch from clock_timestamp() - (
    select received_at from audit_events e where e.position > ${sinks.position} order by e.position limit 1)), 0)::float8`,
  delivered: sinks.delivered,
  deadLetters: sql<number>`(select count(*) from sink_dead_letters d where d.sink = ${sinks.name})::integer`,
  skipped: sinks.skipped,
  maxAgeSeconds: sinks.maxAgeSeconds,
  failures: sinks.failures,
  lastError: sinks.lastError,
  lastSuccessAt: sinks.lastSuccessAt,
  nextAttemptAt: sinks.nextAttemptAt,
  heldBy: sql<string | null>`case when ${sinks.leaseUntil} > clock_timestamp() then ${sinks.leaseOwner} end`,
};

/** From the database alone: the same for every replica. */
export type SinkStatus = Row<typeof sinkColumns>;

export const readSinkStatus = async (
  pool: Pool,
  names: readonly string[] | undefined,
): Promise<readonly SinkStatus[]> => {
  const rows = await db(pool)
    .select({
      head: feedHead.position,
      alarmsNotedAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${alarmCursors.notedAt})::float8`,
      // Of a sink that has all findings so far.
      detectionsNotedAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${findingHead.notedAt})::float8`,
      ...sinkColumns,
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

/** It would be sent nothing and wait without a failure of its own. */
const notNoted = (sink: SinkStatus, what: string, seconds: number | null): SinkStatus => ({
  ...sink,
  failures: Math.max(1, sink.failures),
  lastError: `${what} have not been noted for ${Math.floor(seconds ?? 0)} seconds: the log of the daemon has the reason`,
});

/** No delivery leads there, and it would wait until the feed catches up: it fails as long as it stands there. */
const beyondEnd = (sink: SinkStatus, head: number): SinkStatus => ({
  ...sink,
  failures: Math.max(1, sink.failures),
  lastError: `its position, ${sink.position}, is beyond the end of the feed, ${head}: the owner of the schema can set it back by orgtrail sink replay`,
});

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

/** Oldest first. The event is null if it is no longer kept. */
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
const { sink, position, reason, refusedAt } = sinkDeadLetters;

const deadLetterColumns = {
  position,
  reason,
  refusedAt,
  /** Null: dropped by retention, or of no organization. */
  organizationName: sql<string | null>`coalesce(${organizations.name}, ${auditEvents.organizationId})`,
  actionType: auditEvents.actionType,
  resourceType: auditEvents.resourceType,
  isStored: sql<boolean>`${auditEvents.position} is not null`,
};

export type ShownDeadLetter = Row<typeof deadLetterColumns>;

/** Newest events first. */
export interface DeadLetterPage {
  readonly letters: readonly ShownDeadLetter[];
  /** More are below this position; undefined: none. */
  readonly nextBefore: number | undefined;
  /** A replay from before it retries all. Undefined: no dead letter. */
  readonly oldest: number | undefined;
}

/** Before a position, or the newest. */
export const readDeadLetterPage = async (
  pool: Pool,
  name: string,
  { before, limit }: { readonly before: number | undefined; readonly limit: number },
): Promise<DeadLetterPage> => {
  const of = eq(sink, name);
  const rows = await db(pool)
    .select(deadLetterColumns)
    .from(sinkDeadLetters)
    .leftJoin(auditEvents, eq(auditEvents.position, position))
    .leftJoin(organizations, eq(organizations.id, auditEvents.organizationId))
    .where(before === undefined ? of : and(of, lt(position, before)))
    .orderBy(desc(position))
    .limit(limit + 1);
  const [first] = await db(pool)
    .select({ oldest: min(position) })
    .from(sinkDeadLetters)
    .where(of);
  const letters = rows.slice(0, limit);
  return {
    letters,
    nextBefore: rows.length > limit ? letters.at(-1)?.position : undefined,
    oldest: first?.oldest ?? undefined,
  };
};

/** Troubles that this process knows: the database may refuse to record a failure or to return it. */
type Trouble = Readonly<{ failures: number; reason: string }>;

/** A trouble ends when something was delivered, nothing waits, or a failure of the receiver is in the database. */
export const createSinkTroubles = () => {
  const troubles = new Map<string, Trouble>();
  const over = ({ sink }: { readonly sink: string }) => void troubles.delete(sink);
  const observer: DeliveryObserver = {
    delivered: over,
    split: over,
    failed: over,
    caughtUp: over,
    interrupted: ({ sink, reason }) => {
      troubles.set(sink, { failures: (troubles.get(sink)?.failures ?? 0) + 1, reason });
    },
  };
  return {
    observer,
    /** Adds what has gone wrong here since. */
    addTo: (sinks: readonly SinkStatus[]): readonly SinkStatus[] =>
      sinks.map((sink) => {
        const trouble = troubles.get(sink.name);
        if (trouble === undefined || sink.failures > 0) return sink;
        return { ...sink, failures: trouble.failures, lastError: trouble.reason };
      }),
  };
};
