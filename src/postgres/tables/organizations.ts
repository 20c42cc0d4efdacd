import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64, jsonb } from './column-types.ts';

/** Every organization that the credential has reached, with the metadata of its last listing. */
export const organizations = pgTable('organizations', {
  id: text('id').notNull(),
  name: text('name'),
  parentId: text('parent_id'),
  managedBy: text('managed_by'),
  createTime: instant('create_time'),
  meta: jsonb('meta'),
  profile: jsonb('profile'),
  profileReadAt: instant('profile_read_at'),
  listedUnder: text('listed_under'),
  childrenListedAt: instant('children_listed_at'),
  state: text('state', { enum: ['active', 'refused', 'gone'] })
    .notNull()
    .default('active'),
  missedListings: integer('missed_listings').notNull().default(0),
  firstSeenAt: instant('first_seen_at').notNull().default(databaseTime),
  lastSeenAt: instant('last_seen_at').notNull().default(databaseTime),
  logAskedAt: instant('log_asked_at'),
  logOpenAtMisses: integer('log_open_at_misses'),
  listedBy: text('listed_by'),
  leftAt: instant('left_at'),
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
  onlyRow: boolean('only_row').notNull().default(true),
  lastAttemptAt: instant('last_attempt_at'),
  lastSuccessAt: instant('last_success_at'),
  lastError: text('last_error'),
  organizations: integer('organizations'),
  leaseOwner: text('lease_owner'),
  leaseUntil: instant('lease_until'),
  serverTime: instant('server_time'),
  shortSince: instant('short_since'),
});
