import type { Pool } from 'pg';
import type { ObjectKind } from '../columns.ts';
import type { Snapshot, TableObject, WrittenSnapshot } from './table-files.ts';

export interface TableOf {
  readonly archive: string;
  readonly kind: ObjectKind;
}

/** Gives what is new in the catalogue a number, if anything is. Rejects if the database has another archive in use. */
export const takeSnapshot = async (pool: Pool, { archive, kind }: TableOf, base: string): Promise<void> => {
  await pool.query('select orgtrail_take_snapshot($1, $2, $3)', [archive, kind, base]);
};

/** The lowest number that is not in the bucket yet. Undefined: all are. */
export const readUnwritten = async (pool: Pool, { archive, kind }: TableOf): Promise<Snapshot | undefined> => {
  const { rows } = await pool.query<Omit<Snapshot, 'objects'>>(
    `select s.number::float8 as number, (extract(epoch from s.at) * 1000)::float8 as "atMs", s.operation, s.base,
       (select json_build_object('objects', count(*), 'rows', coalesce(sum(o.events), 0), 'bytes', coalesce(sum(o.bytes), 0),
           'lastPosition', coalesce(max(o.last_position), 0))
         from archive_objects o where o.archive = s.archive and o.kind = s.kind and o.added_in <= s.number
           and coalesce(o.removed_in, s.number + 1) > s.number) as total
     from archive_snapshots s where s.archive = $1 and s.kind = $2 and s.written_at is null order by s.number limit 1`,
    [archive, kind],
  );
  const [snapshot] = rows;
  if (snapshot === undefined) return undefined;
  const objects = await pool.query<TableObject>(
    `with last as (select max(s.number) as number from archive_snapshots s where s.archive = $1 and s.kind = $2 and s.number < $3),
       moved as (select s.base as base from archive_snapshots s join last on s.number = last.number where s.archive = $1 and s.kind = $2 and s.base <> $4),
       counted as (select o.* from archive_objects o where o.archive = $1 and o.kind = $2 and o.added_in <= $3
         and coalesce(o.removed_in, $3) >= $3)
     select o.key, to_char(o.month, 'YYYY-MM') as month, o.events::float8 as rows, o.bytes::float8 as bytes, o.bounds,
       o.added_in::float8 as "addedIn", o.removed_in::float8 as "removedIn"
     from counted o where exists (select from moved)
       or o.month in (select c.month from counted c where c.added_in = $3 or c.removed_in = $3)
     order by o.month, o.first_position, o.id`,
    [archive, kind, snapshot.number, snapshot.base],
  );
  return { ...snapshot, objects: objects.rows };
};

/** In the order of their numbers. */
export const readWritten = async (pool: Pool, { archive, kind }: TableOf): Promise<readonly WrittenSnapshot[]> =>
  (
    await pool.query<WrittenSnapshot>(
      `select s.number::float8 as number, s.base, s.entry, s.manifests from archive_snapshots s
       where s.archive = $1 and s.kind = $2 and s.written_at is not null order by s.number`,
      [archive, kind],
    )
  ).rows;

/** Its metadata is in the bucket. */
export const noteSnapshot = async (
  pool: Pool,
  { archive, kind }: TableOf,
  { number, entry, manifests }: Omit<WrittenSnapshot, 'base'>,
): Promise<void> => {
  await pool.query('select orgtrail_note_snapshot($1, $2, $3, $4, $5)', [
    archive,
    kind,
    number,
    JSON.stringify(entry),
    JSON.stringify(manifests),
  ]);
};

/** For what is not written yet. */
export const renumberSnapshots = async (
  pool: Pool,
  { archive, kind }: TableOf,
  from: number,
  to: number,
): Promise<void> => {
  await pool.query('select orgtrail_renumber_snapshots($1, $2, $3, $4)', [archive, kind, from, to]);
};
