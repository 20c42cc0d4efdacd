import { sql } from 'drizzle-orm';
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64, json } from './column-types.ts';

const eventKey = {
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  id: text('id').notNull(),
};
const place = {
  position: integer64('position').notNull(),
  actionTime: instant('action_time').notNull(),
  receivedAt: instant('received_at').notNull(),
  organizationId: text('organization_id'),
};

/** What an entry says, by column; null if it does not say it. */
const entryColumns = {
  actionType: text('action_type'),
  actionResult: text('action_result'),
  actionDescription: text('action_description'),
  actorId: text('actor_id'),
  actorType: text('actor_type'),
  actorContext: text('actor_context'),
  actorEmail: text('actor_email'),
  actorIpAddress: text('actor_ip_address'),
  actorTokenId: text('actor_token_id'),
  actorTokenName: text('actor_token_name'),
  rawCfRayId: text('raw_cf_ray_id'),
  rawMethod: text('raw_method'),
  rawStatusCode: integer('raw_status_code'),
  rawUri: text('raw_uri'),
  rawUserAgent: text('raw_user_agent'),
  resourceId: text('resource_id'),
  resourceProduct: text('resource_product'),
  resourceType: text('resource_type'),
  resourceScope: text('resource_scope'),
  accountId: text('account_id'),
  accountName: text('account_name'),
  zoneId: text('zone_id'),
  zoneName: text('zone_name'),
};

/** Every entry of every audit log, once, in monthly partitions. */
export const auditEvents = pgTable('audit_events', {
  ...eventKey,
  ...place,
  receivedAt: instant('received_at').notNull().default(databaseTime),
  ...entryColumns,
  raw: json('raw').notNull(),
  defects: text('defects').array(),
});

/** Later content of an id that was already stored. */
export const auditEventChanges = pgTable('audit_event_changes', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  sourceKind: eventKey.sourceKind,
  sourceId: eventKey.sourceId,
  eventId: text('event_id').notNull(),
  raw: json('raw').notNull(),
  seenAt: instant('seen_at').notNull().default(databaseTime),
});

/** One row: the last position that was given out. */
export const feedHead = pgTable('feed_head', {
  feedId: uuid('feed_id').notNull().default(sql`gen_random_uuid()`),
  position: integer64('position').notNull().default(0),
  aliveAt: instant('alive_at'),
});

/** What the detections found, once each, as sinks follow it. */
export const findings = pgTable('findings', {
  detection: text('detection').notNull(),
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  id: text('id').notNull(),
  position: integer64('position').notNull(),
  eventPosition: integer64('event_position').notNull(),
  severity: text('severity').notNull(),
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
  summary: text('summary').notNull(),
});

/** One row, or none before a sink has wanted detections: up to which position of the feed they have been asked. */
export const findingHead = pgTable('finding_head', {
  position: integer64('position').notNull(),
  notedAt: instant('noted_at').notNull().default(databaseTime),
});

/** Findings that the console leaves out of its list. Written by functions alone. */
export const detectionMutes = pgTable('detection_mutes', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  detection: text('detection').notNull(),
  actor: text('actor'),
  reason: text('reason').notNull(),
  mutedUntil: instant('muted_until'),
  upToPosition: integer64('up_to_position'),
  createdBy: text('created_by').notNull(),
  createdAt: instant('created_at').notNull().default(databaseTime),
  endedAt: instant('ended_at'),
});

export const alarmCursors = pgTable('alarm_cursors', {
  sink: text('sink').notNull(),
  notedAt: instant('noted_at'),
});

/** Where events are pushed to, one row per sink of ORGTRAIL_SINKS, and how far each is. */
export const sinks = pgTable('sinks', {
  name: text('name').notNull(),
  kind: text('kind').notNull(),
  target: text('target').notNull(),
  position: integer64('position').notNull(),
  batchUntil: integer64('batch_until'),
  leaseOwner: text('lease_owner'),
  leaseUntil: instant('lease_until'),
  failures: integer('failures').notNull().default(0),
  nextAttemptAt: instant('next_attempt_at'),
  delivered: integer64('delivered').notNull().default(0),
  lastSuccessAt: instant('last_success_at'),
  lastError: text('last_error'),
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
