import { sql } from 'drizzle-orm';
import { integer, interval, pgTable, smallint, text } from 'drizzle-orm/pg-core';
import { bytea, databaseTime, instant, integer64 } from './column-types.ts';

/** The two Merkle logs, one row for each generation. Written by functions alone, as all tables here. */
export const evidenceLogs = pgTable('evidence_logs', {
  name: text('name').notNull(),
  generation: integer('generation').notNull(),
  origin: text('origin').notNull(),
  size: integer64('size').notNull().default(0),
  root: bytea('root').notNull(),
  leaseOwner: text('lease_owner'),
  leaseEpoch: integer64('lease_epoch').notNull().default(0),
  leaseUntil: instant('lease_until'),
  state: text('state').notNull().default('building'),
  stateReason: text('state_reason'),
  adoptedSize: integer64('adopted_size').notNull().default(0),
  timeline: text('timeline'),
  signedSize: integer64('signed_size'),
  signedAt: instant('signed_at'),
  schemaVersion: text('schema_version'),
  endedAt: instant('ended_at'),
  endedBy: text('ended_by'),
  endedReason: text('ended_reason'),
  anchors: text('anchors').array(),
  statementsEvery: interval('statements_every'),
  keyOrdered: text('key_ordered'),
  oldKeyUntil: instant('old_key_until'),
});

/** Hash tiles; `sources` has the number of the source of each leaf, at level 0 of events. */
export const evidenceTiles = pgTable('evidence_tiles', {
  log: text('log').notNull(),
  generation: integer('generation').notNull(),
  level: smallint('level').notNull(),
  n: integer64('n').notNull(),
  hashes: bytea('hashes').notNull(),
  sources: bytea('sources'),
});

export const evidenceCheckpoints = pgTable('evidence_checkpoints', {
  log: text('log').notNull(),
  generation: integer('generation').notNull(),
  size: integer64('size').notNull(),
  root: bytea('root').notNull(),
  note: text('note').notNull(),
  madeAt: instant('made_at').notNull().default(databaseTime),
});

/** The statements, byte for byte. */
export const evidenceJournal = pgTable('evidence_journal', {
  generation: integer('generation').notNull(),
  index: integer64('index').notNull(),
  kind: text('kind').notNull(),
  ref: text('ref').notNull(),
  text: text('text').notNull(),
  at: instant('at').notNull().default(databaseTime),
});

/** What salts the leaves of the events of a month. */
export const evidenceMonthKeys = pgTable('evidence_month_keys', {
  month: text('month').notNull(),
  key: bytea('key').notNull(),
});

export const evidenceSources = pgTable('evidence_sources', {
  generation: integer('generation').notNull(),
  number: integer('number').notNull(),
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  events: integer64('events').notNull(),
  chain: bytea('chain').notNull(),
});

/** Which signed checkpoints are kept outside of this database, and where. */
export const evidenceAnchors = pgTable('evidence_anchors', {
  log: text('log').notNull(),
  generation: integer('generation').notNull(),
  anchor: text('anchor').notNull(),
  size: integer64('size').notNull(),
  at: instant('at'),
  receipt: bytea('receipt'),
  tilesSize: integer64('tiles_size').notNull().default(0),
  error: text('error'),
  failedAt: instant('failed_at'),
});

/** The last coverage statement of each source and filter set. */
export const evidenceCoverage = pgTable('evidence_coverage', {
  generation: integer('generation').notNull(),
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  filterHash: text('filter_hash').notNull(),
  index: integer64('index').notNull(),
  wantedSince: instant('wanted_since'),
  statedAt: instant('stated_at').notNull(),
  readsCount: integer64('reads_count'),
  readsAfter: integer64('reads_after'),
});

/** The requests behind what is claimed. */
export const evidenceReads = pgTable('evidence_reads', {
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  number: integer64('number').notNull(),
  readAt: instant('read_at').notNull(),
  lane: text('lane').notNull(),
  filterHash: text('filter_hash').notNull(),
  since: instant('since').notNull(),
  before: instant('before').notNull(),
  pages: integer('pages').notNull(),
  entries: integer64('entries').notNull(),
  answers: integer('answers').notNull(),
  firstDate: instant('first_date'),
  firstCfRay: text('first_cf_ray'),
  lastDate: instant('last_date'),
  lastCfRay: text('last_cf_ray'),
  bodiesSha256: bytea('bodies_sha256').notNull(),
  sha256: bytea('sha256').notNull(),
});

/** When a coverage statement was asked for. */
export const evidenceAsked = pgTable('evidence_asked', {
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  askedAt: instant('asked_at').notNull(),
});

/** Keys that an operator has ordered. */
export const evidenceKeyOrders = pgTable('evidence_key_orders', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  generation: integer('generation').notNull(),
  reason: text('reason').notNull(),
  newVkeys: text('new_vkeys').array().notNull(),
  bothFor: interval('both_for').notNull(),
  orderedBy: text('ordered_by').notNull(),
  orderedAs: text('ordered_as').notNull().default(sql`SESSION_USER`),
  orderedAt: instant('ordered_at').notNull().default(databaseTime),
  statedAt: instant('stated_at'),
});
