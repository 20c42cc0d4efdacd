import { sql } from 'drizzle-orm';
import { doublePrecision, integer, interval, pgTable, pgView, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64, jsonb } from './column-types.ts';

const sourceKey = { sourceKind: text('source_kind').notNull(), sourceId: text('source_id').notNull() };
const owner = {
  /** Null for an account of no organization that is known. */
  organizationId: text('organization_id'),
  organizationName: text('organization_name'),
  /** Null for the log of an organization. */
  accountId: text('account_id'),
  accountName: text('account_name'),
};
const longAgo = sql<Date>`'-infinity'::timestamp with time zone`;

/** One row per log that is pulled; also the lease that lets one replica at a time walk it. */
export const sources = pgTable('sources', {
  kind: text('kind').notNull(),
  id: text('id').notNull(),
  /** Null for the log of an account. */
  organizationId: text('organization_id'),
  wantedSince: instant('wanted_since').notNull(),
  leaseOwner: text('lease_owner'),
  leaseEpoch: integer64('lease_epoch').notNull().default(0),
  leaseUntil: instant('lease_until'),
  eventRate: doublePrecision('event_rate'),
  recentEventRate: doublePrecision('recent_event_rate'),
  largestPage: integer('largest_page').notNull().default(0),
  wantedHistory: interval('wanted_history'),
  /** Null for the log of an organization. */
  accountId: text('account_id'),
  credential: text('credential'),
});

/** Time that the API serves neither by itself nor in parts. */
export const coverageHoles = pgTable('coverage_holes', {
  ...sourceKey,
  filterHash: text('filter_hash').notNull(),
  pass: integer('pass').notNull(),
  since: instant('since').notNull(),
  before: instant('before').notNull(),
  reason: text('reason').notNull(),
  message: text('message').notNull(),
});

/** How much may be asked of Cloudflare: one row per credential, and one for the scrub lane's share of it. */
export const apiBudget = pgTable('api_budget', {
  credential: text('credential').notNull(),
  nextFreeAt: instant('next_free_at').notNull().default(longAgo),
});

/** One row per source: how far behind, what is missing, which replica holds it, what went wrong last. */
export const syncStatus = pgView('sync_status', {
  ...sourceKey,
  ...owner,
  organizationState: text('organization_state'),
  accountState: text('account_state'),
  access: text('access').notNull(),
  leaseOwner: text('lease_owner'),
  leaseEpoch: integer64('lease_epoch').notNull(),
  leaseUntil: instant('lease_until'),
  lastSuccessAt: instant('last_success_at'),
  lastEventAt: instant('last_event_at'),
  lagSeconds: doublePrecision('lag_seconds').notNull(),
  gapSeconds: doublePrecision('gap_seconds').notNull(),
  retentionSlackSeconds: doublePrecision('retention_slack_seconds').notNull(),
  holes: integer('holes').notNull(),
  unprovenSeconds: doublePrecision('unproven_seconds').notNull(),
  readOnceSeconds: doublePrecision('read_once_seconds').notNull(),
}).existing();

/** Every organization that the credential has reached, with the metadata of its last listing. */
export const organizations = pgTable('organizations', {
  id: text('id').notNull(),
  name: text('name'),
  profile: jsonb('profile'),
  profileReadAt: instant('profile_read_at'),
  childrenListedAt: instant('children_listed_at'),
  state: text('state', { enum: ['active', 'refused', 'gone'] })
    .notNull()
    .default('active'),
  firstSeenAt: instant('first_seen_at').notNull().default(databaseTime),
});

/** What became of organizations, as orgtrail saw it. */
export const organizationChanges = pgTable('organization_changes', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  organizationId: text('organization_id').notNull(),
  change: text('change', { enum: ['appeared', 'gone', 'refused', 'restored', 'renamed', 'moved', 'left'] }).notNull(),
  oldValue: text('old_value'),
  newValue: text('new_value'),
  changedAt: instant('changed_at').notNull().default(databaseTime),
});

/** One row: how the last listing of the organizations went, and which replica lists. */
export const discovery = pgTable('discovery', {
  lastSuccessAt: instant('last_success_at'),
  lastError: text('last_error'),
  organizations: integer('organizations'),
  leaseOwner: text('lease_owner'),
  leaseUntil: instant('lease_until'),
  serverTime: instant('server_time'),
  shortSince: instant('short_since'),
});

/** Every account whose log is pulled. */
export const accounts = pgTable('accounts', {
  id: text('id').notNull(),
  name: text('name'),
  /** The organization that it belongs to now. */
  organizationId: text('organization_id'),
  state: text('state', { enum: ['active', 'gone'] })
    .notNull()
    .default('active'),
});
