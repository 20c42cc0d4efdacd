import type { Pool } from '../../postgres/pool.ts';
import type { ObjectKind } from '../columns.ts';
import type { HistoryObject } from '../history/history-objects.sql.ts';

/** An object whose rows are in the archive alone. */
export type SearchedObject = HistoryObject;

const columns = `id::float8 as id, archive, key, to_char(month, 'YYYY-MM') as month, first_position::float8 as "firstPosition",
  last_position::float8 as "lastPosition", bytes::float8 as bytes, sha256, true as "isWanted"`;
const isDropped = 'superseded_at is null and dropped_at is not null';

/** Of one month, in order of position; with an organization, those that have events of it. */
export const readObjectsOf = async (
  pool: Pool,
  month: string,
  organization: string | undefined,
  kind: ObjectKind = 'events',
): Promise<readonly SearchedObject[]> => {
  const { rows } = await pool.query<SearchedObject>(
    `select ${columns} from archive_objects
     where ${isDropped} and kind = $1 and month = to_date($2, 'YYYY-MM') and ($3::text is null or organizations ? $3)
     order by first_position`,
    [kind, month, organization ?? null],
  );
  return rows;
};

/** Those that may have the event at a position. */
export const readObjectsAt = async (pool: Pool, position: number): Promise<readonly SearchedObject[]> => {
  const { rows } = await pool.query<SearchedObject>(
    `select ${columns} from archive_objects
     where ${isDropped} and kind = 'events' and last_position >= $1 and first_position <= $1 order by first_position`,
    [position],
  );
  return rows;
};
