import { and, eq, sql } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import { copiesOf, mayHaveCopies } from '../feed/copies.ts';
import { db } from '../postgres/db.ts';
import { readOnly } from '../postgres/read-only.ts';
import { auditEventChanges } from '../postgres/tables/events.ts';
import { type FoundRow, foundColumns, toFoundEvent } from './found-event.sql.ts';
import type { EventCopy, EventDetail, EventKey, FoundEvent } from './found-event.ts';

const TIMEOUT_MS = 10_000;
const MAX_CHANGES = 20;
const MAX_COPIES = 20;

const whereOf = (key: EventKey): readonly [where: string, values: unknown[]] =>
  'position' in key
    ? ['e.position = $1', [key.position]]
    : ['e.source_kind = $1 and e.source_id = $2 and e.id = $3', [key.sourceKind, key.sourceId, key.id]];

/** How many bytes the texts of an event have, with its later contents. */
export const readEventBytes = (pool: Pool, key: EventKey): Promise<number> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const [where, values] = whereOf(key);
    const { rows } = await client.query<{ bytes: number }>(
      `select octet_length(e.raw::text)::float8 + coalesce((select sum(octet_length(c.raw::text)) from (
           select c.raw from audit_event_changes c where c.source_kind = e.source_kind and c.source_id = e.source_id and c.event_id = e.id
           order by c.id limit ${MAX_CHANGES}) c), 0)::float8 as bytes
       from audit_events e where ${where} order by e.position limit 1`,
      values,
    );
    return rows[0]?.bytes ?? 0;
  });

/** One event with all that is kept of it; undefined if there is none. Rejects if the database does not answer. */
export const readEvent = (pool: Pool, key: EventKey): Promise<EventDetail | undefined> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const [where, values] = whereOf(key);
    const { rows } = await client.query<FoundRow & { rawText: string; feedId: string }>(
      `select ${foundColumns}, e.raw::text as "rawText", (select feed_id::text from feed_head) as "feedId"
       from audit_events e left join organizations o on o.id = e.organization_id
       where ${where} order by e.position limit 1`,
      values,
    );
    if (rows[0] === undefined) return undefined;
    const { rawText, feedId, ...row } = rows[0];
    const event = toFoundEvent(row);
    const { rows: neighbours } = await client.query<{ previous: number | null; next: number | null }>(
      `select (select max(position) from audit_events where position < $1)::float8 as previous,
         (select min(position) from audit_events where position > $1)::float8 as next`,
      [event.position],
    );
    return {
      event,
      feedId,
      rawText,
      ...(await readChanges(client, event)),
      ...(await readCopies(client, event.position)),
      previousPosition: neighbours[0]?.previous ?? null,
      nextPosition: neighbours[0]?.next ?? null,
    };
  });

const readChanges = async (client: PoolClient, event: FoundEvent) => {
  const { id, sourceKind, sourceId, eventId, seenAt, raw } = auditEventChanges;
  const changes = await db(client)
    .select({
      seenAt: sql<string>`to_char(${seenAt}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`,
      rawText: sql<string>`${raw}::text`,
      inAll: sql<number>`count(*) over ()::integer`,
    })
    .from(auditEventChanges)
    .where(and(eq(sourceKind, event.sourceKind), eq(sourceId, event.sourceId), eq(eventId, event.id)))
    .orderBy(id)
    .limit(MAX_CHANGES);
  return { changes, changesInAll: changes[0]?.inAll ?? 0 };
};

const readCopies = async (client: PoolClient, position: number) => {
  const { rows } = await client.query<EventCopy & { readonly inAll: number; readonly number: number }>(
    `select f.position::float8 as position, f.account_id as "accountId", f.account_name as "accountName",
       count(*) over ()::integer as "inAll", (count(*) filter (where f.position <= e.position) over ())::integer as number
     from audit_events e join audit_events f on ${copiesOf('e', 'f')}
     where e.position = $1 and ${mayHaveCopies('e')} order by f.position limit ${MAX_COPIES}`,
    [position],
  );
  const [{ inAll, number } = { inAll: 0, number: 0 }] = rows;
  if (inAll < 2) return { copies: [], copiesInAll: 0, copyNumber: 0 };
  const copies = rows.map(({ position: at, accountId, accountName }) => ({ position: at, accountId, accountName }));
  return { copies, copiesInAll: inAll, copyNumber: number };
};
