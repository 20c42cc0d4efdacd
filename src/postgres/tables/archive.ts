import { sql } from 'drizzle-orm';
import { boolean, date, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { bytea, databaseTime, instant, integer64, jsonb } from './column-types.ts';

const sessionUser = sql<string>`SESSION_USER`;

/** One row or none: the archive in which a month must be before it is dropped. */
export const archivePolicy = pgTable('archive_policy', {
  onlyRow: boolean('only_row').notNull().default(true),
  archive: text('archive').notNull(),
  setAt: instant('set_at').notNull().default(databaseTime),
  setAs: text('set_as').notNull().default(sessionUser),
});

/** The catalogue: what was written to an archive, read back and compared. */
export const archiveObjects = pgTable('archive_objects', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  archive: text('archive').notNull(),
  key: text('key').notNull(),
  /** `events` or `changes`. */
  kind: text('kind').notNull(),
  month: date('month').notNull(),
  feedId: uuid('feed_id').notNull(),
  firstPosition: integer64('first_position').notNull(),
  lastPosition: integer64('last_position').notNull(),
  /** How many rows. */
  events: integer64('events').notNull(),
  bytes: integer64('bytes').notNull(),
  sha256: text('sha256').notNull(),
  idsSha256: text('ids_sha256').notNull(),
  rawSha256: text('raw_sha256').notNull(),
  columnsSha256: text('columns_sha256').notNull(),
  organizations: jsonb('organizations').notNull(),
  versionId: text('version_id'),
  lockedUntil: instant('locked_until'),
  writtenAt: instant('written_at').notNull().default(databaseTime),
  writtenAs: text('written_as').notNull().default(sessionUser),
  verifiedAt: instant('verified_at').notNull().default(databaseTime),
  fault: text('fault'),
  /** Another object has taken its place. */
  supersededAt: instant('superseded_at'),
  /** Its rows are in the archive alone. */
  droppedAt: instant('dropped_at'),
  /** Of each 262,144 bytes; null: not known. */
  blocksSha256: bytea('blocks_sha256'),
});
