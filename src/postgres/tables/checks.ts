import { sql } from 'drizzle-orm';
import { boolean, doublePrecision, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64, jsonb } from './column-types.ts';

const counter = (name: string) => integer64(name).notNull().default(0);

/** Runs of `verify` and rounds of the scrub lane, with their results. Written by functions alone. */
export const checks = pgTable('checks', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  kind: text('kind', { enum: ['verify', 'scrub'] }).notNull(),
  /** Of a round alone, as the two that follow. */
  sourceKind: text('source_kind'),
  sourceId: text('source_id'),
  filterHash: text('filter_hash'),
  round: integer('round'),
  since: instant('since').notNull(),
  before: instant('before').notNull(),
  beganAt: instant('began_at').notNull(),
  lastReadAt: instant('last_read_at').notNull().default(databaseTime),
  endedAt: instant('ended_at'),
  readSeconds: doublePrecision('read_seconds').notNull().default(0),
  sources: integer('sources').notNull().default(1),
  compared: counter('compared'),
  missing: counter('missing'),
  extra: counter('extra'),
  changed: counter('changed'),
  fixedMissing: counter('fixed_missing'),
  fixedChanged: counter('fixed_changed'),
  failed: integer('failed').notNull().default(0),
  fixes: boolean('fixes').notNull(),
  findings: jsonb('findings').notNull().default(sql`'[]'::jsonb`),
  doneBy: text('done_by'),
  doneAs: text('done_as').notNull().default(sql`SESSION_USER`),
});
