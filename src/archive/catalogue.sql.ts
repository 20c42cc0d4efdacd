import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { OrgtrailError } from '../base/errors.ts';
import { longStatement } from '../postgres/pool.ts';
import { db, type Row } from '../postgres/queries.ts';
import { archiveObjects, archivePolicy } from '../postgres/tables/archive.ts';
import { feedHead } from '../postgres/tables/events.ts';
import type { ObjectFacts, ObjectKind, StretchFacts } from './columns.ts';
import type { Month } from './month-rows.sql.ts';
import type { PutReceipt } from './store.ts';

const columns = {
  id: archiveObjects.id,
  archive: archiveObjects.archive,
  key: archiveObjects.key,
  kind: sql<ObjectKind>`${archiveObjects.kind}`,
  month: sql<string>`to_char(${archiveObjects.month}, 'YYYY-MM')`,
  firstPosition: archiveObjects.firstPosition,
  lastPosition: archiveObjects.lastPosition,
  events: archiveObjects.events,
  bytes: archiveObjects.bytes,
  sha256: archiveObjects.sha256,
  idsSha256: archiveObjects.idsSha256,
  rawSha256: archiveObjects.rawSha256,
  columnsSha256: archiveObjects.columnsSha256,
  versionId: archiveObjects.versionId,
  lockedUntil: archiveObjects.lockedUntil,
  writtenAt: archiveObjects.writtenAt,
  /** Null: a round has begun that is to read it again. */
  verifiedAt: sql<
    string | null
  >`case when isfinite(${archiveObjects.verifiedAt}) then to_char(${archiveObjects.verifiedAt} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end`,
  fault: archiveObjects.fault,
  /** Null: its events are in the database as well. */
  droppedAt: archiveObjects.droppedAt,
  /** Else it was written by an earlier version, and not read back since. */
  hasBounds: sql<boolean>`${archiveObjects.bounds} is not null`,
};

export type CataloguedObject = Row<typeof columns>;

/** Those that count, in order of position within kind and month. */
export const readCatalogue = async (pool: Pool, month?: Month): Promise<readonly CataloguedObject[]> =>
  await db(pool)
    .select(columns)
    .from(archiveObjects)
    .where(
      and(
        isNull(archiveObjects.supersededAt),
        month === undefined ? undefined : eq(archiveObjects.month, `${month}-01`),
      ),
    )
    .orderBy(asc(archiveObjects.month), sql`${archiveObjects.kind} desc`, asc(archiveObjects.firstPosition));

/** All that were ever entered, objects that lost their place included. */
export const readEnteredKeys = async (pool: Pool, archive: string): Promise<ReadonlySet<string>> => {
  const rows = await db(pool)
    .select({ key: archiveObjects.key })
    .from(archiveObjects)
    .where(eq(archiveObjects.archive, archive));
  return new Set(rows.map(({ key }) => key));
};

/** The database has it in use; undefined: none. */
export const readArchivePolicy = async (pool: Pool): Promise<string | undefined> =>
  (await db(pool).select({ archive: archivePolicy.archive }).from(archivePolicy))[0]?.archive;

export const readFeedId = async (pool: Pool): Promise<string> => {
  const [head] = await db(pool).select({ feedId: feedHead.feedId }).from(feedHead);
  if (head === undefined) throw new Error('the database has no feed');
  return head.feedId;
};

/** From its return on no replica drops a month that is not in this archive. */
export const useArchive = async (pool: Pool, archive: string): Promise<void> => {
  await pool.query('select orgtrail_use_archive($1)', [archive]);
};

/** Months are dropped without an archive again. Only the owner of the schema may. False: none was in use. */
export const endArchive = async (pool: Pool): Promise<boolean> =>
  (await db(pool).delete(archivePolicy).returning({ archive: archivePolicy.archive })).length > 0;

export const readFacts = async (
  pool: Pool,
  stretch: { readonly kind: ObjectKind; readonly month: Month; readonly first: number; readonly last: number },
): Promise<StretchFacts> => {
  const { kind, month, first, last } = stretch;
  const { rows } = await pool.query<StretchFacts>(
    longStatement(
      `select events::float8 as events, coalesce(first_position, 0)::float8 as "firstPosition", coalesce(last_position, 0)::float8 as "lastPosition",
         ids_sha256 as "idsSha256", raw_sha256 as "rawSha256", columns_sha256 as "columnsSha256"
       from orgtrail_archive_facts($1, $2, $3, $4)`,
      [kind, `${month}-01`, first, last],
    ),
  );
  if (rows[0] === undefined) throw new Error('orgtrail_archive_facts gave no row');
  return rows[0];
};

/** Enters an object that was written and read back, and returns its number. Rejects if the database holds anything else than what was read back. */
export const noteArchived = async (
  pool: Pool,
  object: {
    readonly archive: string;
    readonly key: string;
    readonly kind: ObjectKind;
    readonly month: Month;
    readonly bytes: number;
    readonly sha256: string;
    readonly facts: StretchFacts;
    readonly receipt: PutReceipt;
  },
): Promise<number> => {
  const { facts, receipt } = object;
  const { lockedUntilMs } = receipt;
  const { rows } = await pool.query<{ id: number }>(
    longStatement(
      'select orgtrail_note_archived($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)::float8 as id',
      [
        object.archive,
        object.key,
        object.kind,
        `${object.month}-01`,
        facts.firstPosition,
        facts.lastPosition,
        facts.events,
        object.bytes,
        object.sha256,
        facts.idsSha256,
        facts.rawSha256,
        facts.columnsSha256,
        receipt.versionId ?? null,
        lockedUntilMs === undefined ? null : new Date(lockedUntilMs).toISOString(),
      ],
    ),
  );
  if (rows[0] === undefined) throw new Error('orgtrail_note_archived gave no row');
  return rows[0].id;
};

/** Unless they are known. The object had the bytes of its SHA-256. */
export const noteBlocks = async (
  pool: Pool,
  { id, sha256 }: Pick<CataloguedObject, 'id' | 'sha256'>,
  blocks: Buffer,
): Promise<void> => {
  await pool.query('select orgtrail_note_archive_blocks($1, $2, $3)', [id, sha256, blocks]);
};

/** Unless they are known. The object had the bytes of its SHA-256. */
export const noteBounds = async (
  pool: Pool,
  { id, sha256 }: Pick<CataloguedObject, 'id' | 'sha256'>,
  { bounds, footerBytes }: Pick<ObjectFacts, 'bounds' | 'footerBytes'>,
): Promise<void> => {
  await pool.query('select orgtrail_note_archive_bounds($1, $2, $3, $4)', [
    id,
    sha256,
    JSON.stringify(bounds),
    footerBytes,
  ]);
};

/** An object was read again: with these bytes, or with a fault. */
export const noteRead = async (
  pool: Pool,
  id: number,
  outcome: { readonly sha256: string } | { readonly fault: string },
): Promise<void> => {
  const [sha256, fault] = 'fault' in outcome ? [null, outcome.fault] : [outcome.sha256, null];
  await pool.query('select orgtrail_note_archive_read($1, $2, $3)', [id, sha256, fault]);
};

/** Throws OrgtrailError `configuration` while a lost database comes back into this one. */
export const requireNoRestore = async (pool: Pool): Promise<void> => {
  if ((await pool.query('select from archive_restores where ended_at is null')).rowCount === 0) return;
  throw new OrgtrailError('configuration', 'this database is being restored from the archive, and is not whole yet', {
    hint: '`orgtrail archive restore --into` goes on with it; then start again',
  });
};
