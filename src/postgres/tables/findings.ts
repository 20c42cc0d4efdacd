import { sql } from 'drizzle-orm';
import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64 } from './column-types.ts';

/** What the detections found, once each, as sinks follow it. */
export const findings = pgTable('findings', {
  detection: text('detection').notNull(),
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  id: text('id').notNull(),
  position: integer64('position').notNull(),
  eventPosition: integer64('event_position').notNull(),
  severity: text('severity').notNull(),
  actionTime: instant('action_time').notNull(),
  receivedAt: instant('received_at').notNull(),
  organizationId: text('organization_id'),
  organizationName: text('organization_name'),
  accountId: text('account_id'),
  accountName: text('account_name'),
  zoneId: text('zone_id'),
  zoneName: text('zone_name'),
  actor: text('actor').notNull(),
  actorIpAddress: text('actor_ip_address'),
  actionType: text('action_type'),
  actionResult: text('action_result'),
  resourceType: text('resource_type'),
  resourceId: text('resource_id'),
  events: integer('events').notNull(),
  firstTime: instant('first_time').notNull(),
  summary: text('summary').notNull(),
  notedAt: instant('noted_at').notNull().default(databaseTime),
  /** Of a copy in the log of another account: the position of the event that was found. */
  copiesOfPosition: integer64('copies_of_position'),
});

/** One row, or none before a sink has wanted detections: up to which position of the feed they have been asked. */
export const findingHead = pgTable('finding_head', {
  onlyRow: boolean('only_row').notNull().default(true),
  position: integer64('position').notNull(),
  beganAt: integer64('began_at').notNull(),
  notedAt: instant('noted_at').notNull().default(databaseTime),
});

/** Findings that the console leaves out of its list. Written by functions alone. */
export const detectionMutes = pgTable('detection_mutes', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  detection: text('detection').notNull(),
  actor: text('actor'),
  reason: text('reason').notNull(),
  mutedUntil: instant('muted_until'),
  createdBy: text('created_by').notNull(),
  createdAs: text('created_as').notNull().default(sql`SESSION_USER`),
  createdAt: instant('created_at').notNull().default(databaseTime),
  endedBy: text('ended_by'),
  endedAs: text('ended_as'),
  endedAt: instant('ended_at'),
});

/** What is wrong with orgtrail itself at this moment. */
export const alarms = pgTable('alarms', {
  alarm: text('alarm').notNull(),
  severity: text('severity').notNull(),
  summary: text('summary').notNull(),
  seenSince: instant('seen_since').notNull().default(databaseTime),
  opened: integer64('opened'),
});

/** Alarms opened and resolved, in order. */
export const alarmChanges = pgTable('alarm_changes', {
  number: integer64('number').notNull().generatedAlwaysAsIdentity(),
  alarm: text('alarm').notNull(),
  opened: integer64('opened'),
  state: text('state').notNull(),
  severity: text('severity').notNull(),
  summary: text('summary').notNull(),
  changedAt: instant('changed_at').notNull().default(databaseTime),
});

/** How far each sink of alarms is. */
export const alarmCursors = pgTable('alarm_cursors', {
  sink: text('sink').notNull(),
  number: integer64('number').notNull(),
  notedAt: instant('noted_at'),
});
