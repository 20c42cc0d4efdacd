import { sql } from 'drizzle-orm';
import { boolean, date, integer, interval, pgTable, text } from 'drizzle-orm/pg-core';
import { bytea, databaseTime, instant, integer64, jsonb } from './column-types.ts';

const sessionUser = sql<string>`SESSION_USER`;

/** One row or none: the archive in which a month must be before it is dropped. */
export const archivePolicy = pgTable('archive_policy', {
  archive: text('archive').notNull(),
});

/** The catalogue: what was written to an archive, read back and compared. */
export const archiveObjects = pgTable('archive_objects', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  archive: text('archive').notNull(),
  key: text('key').notNull(),
  /** `events` or `changes`. */
  kind: text('kind').notNull(),
  month: date('month').notNull(),
  firstPosition: integer64('first_position').notNull(),
  lastPosition: integer64('last_position').notNull(),
  events: integer64('events').notNull(),
  bytes: integer64('bytes').notNull(),
  sha256: text('sha256').notNull(),
  idsSha256: text('ids_sha256').notNull(),
  rawSha256: text('raw_sha256').notNull(),
  columnsSha256: text('columns_sha256').notNull(),
  versionId: text('version_id'),
  lockedUntil: instant('locked_until'),
  writtenAt: instant('written_at').notNull().default(databaseTime),
  verifiedAt: instant('verified_at').notNull().default(databaseTime),
  fault: text('fault'),
  /** Another object has taken its place. */
  supersededAt: instant('superseded_at'),
  /** Its rows are in the archive alone. */
  droppedAt: instant('dropped_at'),
  /** By the id of a field: what an object has at least and at most. Null: not known. */
  bounds: jsonb('bounds'),
});

/** Months that came back from the archive, or are to. Written by functions alone. */
export const archiveThaws = pgTable('archive_thaws', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  month: date('month').notNull(),
  endsAt: instant('ends_at').notNull(),
  reason: text('reason'),
  askedBy: text('asked_by'),
  askedAs: text('asked_as').notNull().default(sessionUser),
  askedAt: instant('asked_at').notNull().default(databaseTime),
  /** `asked`, `thawed`, `ended` or `failed`. */
  state: text('state').notNull().default('asked'),
  events: integer64('events').notNull(),
  copied: integer64('copied').notNull().default(0),
  error: text('error'),
  thawedAt: instant('thawed_at'),
  endedAt: instant('ended_at'),
});

/** Legal holds: what they cover is not dropped. Released ones stay. */
export const holds = pgTable('holds', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  /** Null: every organization. */
  organizationId: text('organization_id'),
  /** Null: every account. */
  accountId: text('account_id'),
  since: instant('since').notNull().default(sql`'-infinity'::timestamp with time zone`),
  before: instant('before').notNull().default(sql`'infinity'::timestamp with time zone`),
  reason: text('reason').notNull(),
  /** Who says to have asked for it; createdAs is the account of the database that did. */
  createdBy: text('created_by'),
  createdAs: text('created_as').notNull().default(sessionUser),
  createdAt: instant('created_at').notNull().default(databaseTime),
  releasedBy: text('released_by'),
  releasedAs: text('released_as'),
  releasedAt: instant('released_at'),
});

/** What ORGTRAIL_RETENTION has dropped, one row per month that had events. */
export const retentionDrops = pgTable('retention_drops', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  month: date('month').notNull(),
  events: integer64('events').notNull(),
  /** Later contents of these events, in audit_event_changes. */
  changes: integer64('changes').notNull(),
  firstPosition: integer64('first_position'),
  lastPosition: integer64('last_position'),
  bytes: integer64('bytes').notNull(),
});

/** One row or none: the shortest retention that accounts other than the owner may drop by. */
export const retentionPolicy = pgTable('retention_policy', {
  onlyRow: boolean('only_row').notNull().default(true),
  shortest: interval('shortest').notNull(),
  setAt: instant('set_at').notNull().default(databaseTime),
});

/** The Merkle log: one row, or none. Written by functions alone. */
export const evidenceLog = pgTable('evidence_log', {
  number: integer('number').notNull().default(1),
  size: integer64('size').notNull().default(0),
  root: bytea('root').notNull(),
  position: integer64('position').notNull().default(0),
  adoptedPosition: integer64('adopted_position').notNull().default(0),
  leaseOwner: text('lease_owner'),
  leaseUntil: instant('lease_until'),
  state: text('state').notNull().default('building'),
  stateReason: text('state_reason'),
  signedSize: integer64('signed_size'),
  signedPosition: integer64('signed_position'),
  signedAt: instant('signed_at'),
  endedAt: instant('ended_at'),
  endedReason: text('ended_reason'),
  statementsEvery: interval('statements_every'),
  keyOrdered: text('key_ordered'),
  oldKeyUntil: instant('old_key_until'),
  heldBack: integer('held_back').notNull().default(0),
});
