import { sql } from 'drizzle-orm';
import { boolean, integer, pgTable, pgView, text, uuid } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64, json, jsonb } from './column-types.ts';

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
const organizationName = text('organization_name');

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
  position: place.position,
  raw: json('raw').notNull(),
  rawSha256: text('raw_sha256').notNull(),
  seenAt: instant('seen_at').notNull().default(databaseTime),
});

/** One row: the last position that was given out. */
export const feedHead = pgTable('feed_head', {
  onlyRow: boolean('only_row').notNull().default(true),
  feedId: uuid('feed_id').notNull().default(sql`gen_random_uuid()`),
  position: integer64('position').notNull().default(0),
  timeline: text('timeline'),
  timelineSince: instant('timeline_since'),
  aliveAt: instant('alive_at'),
  pacedUntil: instant('paced_until'),
  databaseOid: integer64('database_oid'),
});

/** Where positions were left out after a failover or a restore. */
export const positionJumps = pgTable('position_jumps', {
  id: integer64('id').notNull(),
  fromPosition: integer64('from_position').notNull(),
  toPosition: integer64('to_position').notNull(),
  oldTimeline: text('old_timeline').notNull(),
  newTimeline: text('new_timeline').notNull(),
  foundAt: instant('found_at').notNull().default(databaseTime),
});

/** The tokens of Cloudflare that the collector uses, for detections. */
export const collectorTokens = pgTable('collector_tokens', {
  tokenId: text('token_id').notNull(),
  note: text('note'),
  addedAt: instant('added_at').notNull().default(databaseTime),
});

/** Events for readers that tail them by SQL. */
export const auditFeed = pgView('audit_feed', {
  ...eventKey,
  ...place,
  feedId: text('feed_id').notNull(),
  organizationName,
  actionTime: instant('action_time'),
  ...entryColumns,
  raw: text('raw').notNull(),
  defects: text('defects'),
}).existing();

/** Events for people, with the payload as jsonb. */
export const auditHistory = pgView('audit_history', {
  ...eventKey,
  ...place,
  organizationName,
  ...entryColumns,
  request: jsonb('request'),
  response: jsonb('response'),
  payload: jsonb('payload'),
  defects: text('defects').array(),
  copiesOfPosition: integer64('copies_of_position'),
}).existing();
