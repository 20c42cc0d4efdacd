import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64, jsonb } from './column-types.ts';

/** Every account whose log is pulled. */
export const accounts = pgTable('accounts', {
  id: text('id').notNull(),
  name: text('name'),
  type: text('type'),
  /** The organization that it belongs to now. */
  organizationId: text('organization_id'),
  createTime: instant('create_time'),
  settings: jsonb('settings'),
  state: text('state', { enum: ['active', 'gone'] })
    .notNull()
    .default('active'),
  namedByHand: boolean('named_by_hand').notNull().default(false),
  firstSeenAt: instant('first_seen_at').notNull().default(databaseTime),
  lastSeenAt: instant('last_seen_at').notNull().default(databaseTime),
  leftAt: instant('left_at'),
});

/** Each listing that accounts are found by, with its own pause. */
export const accountListings = pgTable('account_listings', {
  scope: text('scope').notNull(),
  credential: text('credential'),
  nextAt: instant('next_at'),
  lastAttemptAt: instant('last_attempt_at'),
  lastSuccessAt: instant('last_success_at'),
  lastFailure: text('last_failure'),
  lastError: text('last_error'),
  accounts: integer('accounts'),
  leaseOwner: text('lease_owner'),
  leaseUntil: instant('lease_until'),
  walkBeganAt: instant('walk_began_at'),
  walkPage: text('walk_page'),
  shortSince: instant('short_since'),
});

/** Which listing shows which account. */
export const accountOrganizations = pgTable('account_organizations', {
  accountId: text('account_id').notNull(),
  scope: text('scope').notNull(),
  organizationId: text('organization_id'),
  missed: integer('missed').notNull().default(0),
  lastListedAt: instant('last_listed_at').notNull().default(databaseTime),
});

/** What became of accounts, as orgtrail saw it. */
export const accountChanges = pgTable('account_changes', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  accountId: text('account_id').notNull(),
  change: text('change', { enum: ['appeared', 'gone', 'refused', 'restored', 'renamed', 'moved', 'left'] }).notNull(),
  oldValue: text('old_value'),
  newValue: text('new_value'),
  changedAt: instant('changed_at').notNull().default(databaseTime),
});
