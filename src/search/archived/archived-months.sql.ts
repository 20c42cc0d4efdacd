import type { Pool, PoolClient } from 'pg';

/** Times are RFC 3339; undefined: without an end on that side. */
interface ArchivedPart {
  readonly since: string | undefined;
  readonly before: string | undefined;
  readonly organization?: string | undefined;
}

/**
 * The months, such as `2024-01`, that have events in the archive alone, as far as the time searched touches them: the oldest first. With
 * an organization, those that have events of it.
 */
export const readArchivedMonths = async (
  client: Pool | PoolClient,
  { since, before, organization }: ArchivedPart,
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
