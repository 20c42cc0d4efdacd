import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64 } from './column-types.ts';

/** Where events are pushed to, one row per sink of ORGTRAIL_SINKS, and how far each is. */
export const sinks = pgTable('sinks', {
  name: text('name').notNull(),
  kind: text('kind').notNull(),
  target: text('target').notNull(),
  position: integer64('position').notNull(),
  batchUntil: integer64('batch_until'),
  leaseOwner: text('lease_owner'),
  leaseEpoch: integer64('lease_epoch').notNull().default(0),
  leaseUntil: instant('lease_until'),
  failures: integer('failures').notNull().default(0),
  refusedInRow: integer('refused_in_row').notNull().default(0),
  nextAttemptAt: instant('next_attempt_at'),
  delivered: integer64('delivered').notNull().default(0),
  lastAttemptAt: instant('last_attempt_at'),
  lastSuccessAt: instant('last_success_at'),
  lastError: text('last_error'),
  createdAt: instant('created_at').notNull().default(databaseTime),
  skipped: integer64('skipped').notNull().default(0),
  maxAgeSeconds: integer64('max_age_seconds'),
});

/** Events that a sink rejects permanently, and why. */
export const sinkDeadLetters = pgTable('sink_dead_letters', {
  sink: text('sink').notNull(),
  position: integer64('position').notNull(),
  reason: text('reason').notNull(),
  refusedAt: instant('refused_at').notNull().default(databaseTime),
});
