import { and, desc, eq, lt, min, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../postgres/db.ts';
import { auditEvents } from '../postgres/tables/events.ts';
import { organizations } from '../postgres/tables/organizations.ts';
import { sinkDeadLetters } from '../postgres/tables/sinks.ts';

const { sink, position, reason, refusedAt } = sinkDeadLetters;

const columns = {
  position,
  reason,
  refusedAt,
  /** Null: retention has dropped the event, or it is of no organization. */
  organizationName: sql<string | null>`coalesce(${organizations.name}, ${auditEvents.organizationId})`,
  actionType: auditEvents.actionType,
  resourceType: auditEvents.resourceType,
  /** Whether the event is still stored. */
  isStored: sql<boolean>`${auditEvents.position} is not null`,
};

export type ShownDeadLetter = Row<typeof columns>;

/** Some dead letters of a sink, those of the newest events first. */
export interface DeadLetterPage {
  readonly letters: readonly ShownDeadLetter[];
  /** More of them are below this position; undefined: none are. */
  readonly nextBefore: number | undefined;
  /** Of the oldest dead letter of the sink: a replay from before it retries all of them. Undefined: there is none. */
  readonly oldest: number | undefined;
}

/** Those of events before a position, or the newest. */
export const readDeadLetterPage = async (
  pool: Pool,
  name: string,
  { before, limit }: { readonly before: number | undefined; readonly limit: number },
): Promise<DeadLetterPage> => {
  const of = eq(sink, name);
  const rows = await db(pool)
    .select(columns)
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
