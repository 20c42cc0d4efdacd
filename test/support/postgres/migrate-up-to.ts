import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import type { Pool } from 'pg';
import { packageFile } from '../../../src/base/package-files.ts';

/** Makes the schema of an earlier version in an empty database: all migrations before the first one that `isNext` finds. */
export const migrateUpTo = async (pool: Pool, isNext: (migration: MigrationMeta) => boolean): Promise<void> => {
  const files = readMigrationFiles({ migrationsFolder: packageFile('drizzle') });
  const end = files.findIndex(isNext);
  if (end < 1) throw new Error('no migration is like that, or the first one is');
  await pool.query(
    `create schema drizzle;
     create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
  );
  for (const { sql, hash, folderMillis } of files.slice(0, end)) {
    // One transaction, as some lock tables.
    await pool.query(sql.join(';\n'));
    await pool.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [
      hash,
      folderMillis,
    ]);
  }
};

/** Whether it locks readers out, and so has a transaction of its own. */
export const hasOwnTransaction = ({ sql: [first = ''] }: MigrationMeta): boolean =>
  first.startsWith('-- own transaction');
