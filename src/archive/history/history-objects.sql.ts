import type { Pool } from 'pg';

/** Its events are in the archive alone. */
export interface HistoryObject {
  readonly id: number;
  readonly archive: string;
  readonly key: string;
  readonly month: string;
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly bytes: number;
  readonly sha256: string;
  /** It has events of the organizations that were asked for. */
  readonly isWanted: boolean;
}

const MAX_OBJECTS = 200;

const columns = `id::float8 as id, archive, key, to_char(month, 'YYYY-MM') as month, first_position::float8 as "firstPosition",
  last_position::float8 as "lastPosition", bytes::float8 as bytes, sha256`;
const isHistory = `kind = 'events' and superseded_at is null and dropped_at is not null`;

/** Those that may have events after a position, up to and including another one, by first position. They are all of them up to `until`. */
export const readHistoryObjects = async (
  pool: Pool,
  { after, until, organizationIds }: { after: number; until: number; organizationIds?: readonly string[] | undefined },
) => {
  const { rows } = await pool.query<HistoryObject>(
    `select ${columns}, ($3::text[] is null or organizations ?| $3) as "isWanted"
     from archive_objects
     where ${isHistory} and last_position > $1 and first_position <= $2
     order by first_position limit ${MAX_OBJECTS}`,
    [after, until, organizationIds ?? null],
  );
  const last = rows.length < MAX_OBJECTS ? undefined : rows.at(-1);
  return last === undefined
    ? { until, objects: rows }
    : { until: Math.max(after, last.firstPosition - 1), objects: rows.slice(0, -1) };
};

export const readObjectsOfMonth = async (
  pool: Pool,
  month: string,
  upTo: number,
): Promise<readonly HistoryObject[]> => {
  const { rows } = await pool.query<HistoryObject>(
    `select ${columns}, true as "isWanted" from archive_objects
     where ${isHistory} and month = to_date($1, 'YYYY-MM') and first_position <= $2 order by first_position`,
    [month, upTo],
  );
  return rows;
};

/** The sum of the numbers of those that may have events of a range: it changes when a month is dropped, or comes back. 0: there are none. */
export const sumHistoryObjects = async (pool: Pool, after: number, until: number): Promise<number> => {
  const { rows } = await pool.query<{ objects: number }>(
    `select coalesce(sum(id), 0)::float8 as objects from archive_objects
     where ${isHistory} and last_position > $1 and first_position <= $2`,
    [after, until],
  );
  return rows[0]?.objects ?? 0;
};

export const readBlocks = async (pool: Pool, id: number): Promise<Buffer | undefined> => {
  const { rows } = await pool.query<{ blocks: Buffer | null }>(
    'select blocks_sha256 as blocks from archive_objects where id = $1',
    [id],
  );
  return rows[0]?.blocks ?? undefined;
};
