import { sql } from 'drizzle-orm';
import { pgTable, text } from 'drizzle-orm/pg-core';
import { databaseTime, instant, integer64 } from './column-types.ts';

/** Searches that people keep under a name. Written by functions alone: drizzle/0058. */
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
