import type { Pool, PoolClient } from 'pg';
import { isGone } from '../feed/feed.sql.ts';
import type { EventQuery } from './query/event-query.ts';

/**
 * The months, such as `2024-01`, that have events in the archive alone, as far as the time searched touches them, oldest first. Times are
 * RFC 3339; undefined: without an end on that side. With an organization, those that have events of it.
 */
export const readArchivedMonths = async (
  client: Pool | PoolClient,
  { since, before, organization }: Pick<EventQuery, 'since' | 'before' | 'organization'>,
): Promise<readonly string[]> => {
  const { rows } = await client.query<{ month: string }>(
    `select distinct to_char(month, 'YYYY-MM') as month from archive_objects
     where kind = 'events' and superseded_at is null and dropped_at is not null
       and (month + interval '1 month') at time zone 'UTC' > coalesce($1::timestamptz, '-infinity')
       and month::timestamp at time zone 'UTC' < coalesce($2::timestamptz, 'infinity')
       and ($3::text is null or organizations ? $3)
     order by month`,
    [since ?? null, before ?? null, organization ?? null],
  );
  return rows.map(({ month }) => month);
};

/** Its events are neither in the database nor in an archive. */
export interface DroppedMonth {
  readonly month: string;
  readonly events: number;
}

/** As `readArchivedMonths`, dropped without an archive. A drop does not say whose events they were, so they are those of all organizations. */
export const readDroppedMonths = async (
  client: Pool | PoolClient,
  { since, before }: Pick<EventQuery, 'since' | 'before'>,
): Promise<readonly DroppedMonth[]> => {
  const { rows } = await client.query<DroppedMonth>(
    `select to_char(month, 'YYYY-MM') as month, sum(events)::float8 as events from retention_drops d
     where events > 0 and ${isGone('d', { hasArchive: true })}
       and (month + interval '1 month') at time zone 'UTC' > coalesce($1::timestamptz, '-infinity')
       and month::timestamp at time zone 'UTC' < coalesce($2::timestamptz, 'infinity')
     group by 1 order by 1`,
    [since ?? null, before ?? null],
  );
  return rows;
};

const SHOWN_MONTHS = 3;

/** `2024-01, 2024-02` or `2024-01 to 2024-05`; not all need to follow each other. */
const namesOf = (months: readonly string[]): string =>
  months.length <= SHOWN_MONTHS ? months.join(', ') : `${months[0]} to ${months.at(-1)}`;

/** `The archived month 2024-01 was searched as well.`, or how it can be. */
export const archivedMonthsSentence = (months: readonly string[], isSearched: boolean): string => {
  const [first, it] = months.length === 1 ? [months[0], 'it'] : [months.at(-1), 'one'];
  const how = `not searched: \`orgtrail archive thaw ${first}\` brings ${it} back, \`orgtrail query\` asks the archive itself`;
  const what =
    months.length === 1
      ? `The archived month ${first} was`
      : `${months.length} archived months (${namesOf(months)}) were`;
  return `${what} ${isSearched ? 'searched as well' : how}.`;
};

export const droppedMonthsSentence = (months: readonly string[]): string =>
  months.length === 1
    ? `The month ${months[0]} was dropped without an archive: its events are gone.`
    : `${months.length} months (${namesOf(months)}) were dropped without an archive: their events are gone.`;
