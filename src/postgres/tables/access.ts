import { sql } from 'drizzle-orm';
import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { bytea, databaseTime, instant, integer64, jsonb } from './column-types.ts';

const sessionUser = sql<string>`SESSION_USER`;

/** Tokens of the API and the console, as their hashes; revoked ones stay. */
export const accessTokens = pgTable('access_tokens', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  name: text('name').notNull(),
  hash: bytea('hash').notNull(),
  scopes: text('scopes', { enum: ['feed', 'search', 'metrics', 'manage'] })
    .array()
    .notNull(),
  expiresAt: instant('expires_at'),
  createdAt: instant('created_at').notNull().default(databaseTime),
  createdAs: text('created_as').notNull().default(sessionUser),
  revokedAt: instant('revoked_at'),
  revokedAs: text('revoked_as'),
  /** Its sessions of the console see all rows of access_log, not only those of the token. */
  seesAccessLog: boolean('sees_access_log').notNull().default(false),
  /** Its sessions of the console may set a sink back. */
  replaysSinks: boolean('replays_sinks').notNull().default(false),
});

export const consoleSessions = pgTable('console_sessions', {
  key: bytea('key').notNull(),
  tokenId: integer64('token_id'),
  expiresAt: instant('expires_at').notNull(),
});

/** Who read what of the history, and who was refused. Written by the function orgtrail_note_access. */
export const accessLog = pgTable('access_log', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  kind: text('kind').notNull(),
  outcome: text('outcome').notNull(),
  who: text('who'),
  account: text('account').notNull().default(sessionUser),
  address: text('address'),
  route: text('route'),
  status: integer('status'),
  what: jsonb('what').notNull(),
  events: integer64('events'),
  requests: integer64('requests').notNull(),
});

/** Searches that people keep under a name. Written by functions alone: drizzle/schema/search.sql. */
export const savedSearches = pgTable('saved_searches', {
  id: integer64('id').notNull().generatedAlwaysAsIdentity(),
  name: text('name').notNull(),
  search: text('search').notNull(),
  savedBy: text('saved_by'),
  savedAs: text('saved_as').notNull().default(sql<string>`SESSION_USER`),
  savedAt: instant('saved_at').notNull().default(databaseTime),
  renamedBy: text('renamed_by'),
  renamedAt: instant('renamed_at'),
});

/** Saved searches that tell a sink what newly matches. Written by functions alone. */
export const searchTells = pgTable('search_tells', {
  searchId: integer64('search_id').notNull(),
  sink: text('sink').notNull(),
  everySeconds: integer('every_seconds').notNull(),
  toldBy: text('told_by'),
  toldSince: instant('told_since').notNull().default(databaseTime),
  matched: integer64('matched').notNull().default(0),
  lastMatchAt: instant('last_match_at'),
  error: text('error'),
});
