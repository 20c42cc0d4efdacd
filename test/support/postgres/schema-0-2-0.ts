import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Pool } from 'pg';
import { type Migration, of020, readMigrations } from '../../../src/postgres/schema/migrations.ts';

interface OldMigration {
  readonly name: string;
  readonly created_at: number;
  readonly hash: string;
  readonly statements: readonly string[];
}

/** The migrations of 0.2.0, as of its commit 1c452f5b: what drizzle's reader made of drizzle/0000_init.sql to drizzle/0088_listings_that_are_short.sql. */
const readOldMigrations = (): readonly OldMigration[] =>
  JSON.parse(gunzipSync(readFileSync(new URL('../../long/postgres/schema-0.2.0.json.gz', import.meta.url))).toString());

/** Makes the schema of 0.2.0 in an empty database, or what it had before its last `lacking` migrations. */
export const makeSchema020 = async (pool: Pool, lacking = 0): Promise<void> => {
  await pool.query(
    `create schema drizzle;
     create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
  );
  const migrations = readOldMigrations();
  for (const { statements, hash, created_at } of migrations.slice(0, migrations.length - lacking)) {
    // One transaction, as some lock tables.
    await pool.query(statements.join(';\n'));
    await pool.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [hash, created_at]);
  }
};

/** Has a database look like one of 0.2.0 to what compares versions: it is migrated once more, which changes nothing. */
export const recordAs020 = async (pool: Pool): Promise<void> => {
  await pool.query('delete from drizzle.__drizzle_migrations');
  await pool.query(
    "insert into drizzle.__drizzle_migrations (hash, created_at) select 'of 0.2.0', unnest($1::bigint[])",
    [of020],
  );
};

/** Those that there are, and one for each of these statements. */
export const withMadeUp = (...statements: readonly string[]): readonly Migration[] => {
  const known = readMigrations();
  const newest = known.at(-1)?.madeMs ?? 0;
  return [
    ...known,
    ...statements.map((text, index) => ({
      madeMs: newest + index + 1,
      hash: 'made up',
      statements: text.split('--> statement-breakpoint'),
    })),
  ];
};
