import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Pool } from 'pg';
import { type Migration, of020, readMigrations } from '../../../src/postgres/schema/migrate.ts';

interface OldMigration {
  readonly name: string;
  readonly created_at: number;
  readonly hash: string;
  readonly statements: readonly string[];
}

/** What drizzle's reader made of drizzle/0000_init.sql to drizzle/0088_listings_that_are_short.sql at 1c452f5b: 0.2.0 (2bf826de) had those up to 0065. */
const readOldMigrations = (): readonly OldMigration[] =>
  JSON.parse(gunzipSync(readFileSync(new URL('../../long/postgres/schema-0.2.0.json.gz', import.meta.url))).toString());

/** Makes the schema of 0.2.0 in an empty database, or what it had before or after its last migrations: by so many `more` than it had. */
export const makeSchema020 = async (pool: Pool, more = 0): Promise<void> => {
  await pool.query(
    `create schema drizzle;
     create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
  );
  for (const { statements, hash, created_at } of readOldMigrations().slice(0, of020.length + more)) {
    // One transaction, as some lock tables.
    await pool.query(statements.join(';\n'));
    await pool.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [hash, created_at]);
  }
};

/** Has a database look as it did before its newest migration, which changes nothing when it is applied once more. */
export const forgetNewest = async (pool: Pool): Promise<void> => {
  await pool.query('delete from drizzle.__drizzle_migrations');
  const earlier = readMigrations().slice(0, -1);
  await pool.query(
    "insert into drizzle.__drizzle_migrations (hash, created_at) select 'made up', unnest($1::bigint[])",
    [[...of020, ...earlier.map(({ madeMs }) => madeMs)]],
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
