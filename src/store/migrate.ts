import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import type { Pool } from 'pg';
import { OrgtrailError } from '../errors.ts';
import { inTransaction } from './pool.ts';

const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url));
/** Any number that no other program is likely to lock. */
const MIGRATION_LOCK = 7_045_662_113;
const OLDEST_SUPPORTED = 150_000;

export interface SchemaState {
  /** `empty`: no orgtrail schema yet. `newer`: made by a later orgtrail, which this one must not touch. */
  readonly state: 'current' | 'outdated' | 'newer' | 'empty';
  readonly applied: number;
  readonly known: number;
}

/** Compares the database's migrations with those of this binary. Read-only. Called by check, status and readiness. */
export const readSchemaState = async (pool: Pool): Promise<SchemaState> => {
  const journal = JSON.parse(await readFile(`${migrationsFolder}/meta/_journal.json`, 'utf8')) as {
    entries: readonly { when: number }[];
  };
  const known = journal.entries.length;
  const exists = await pool.query<{ found: string | null }>(
    "select to_regclass('drizzle.__drizzle_migrations') as found",
  );
  if (exists.rows[0]?.found == null) return { state: 'empty', applied: 0, known };
  const rows = await pool.query<{ applied: number; newest: number | null }>(
    'select count(*)::integer as applied, max(created_at)::float8 as newest from drizzle.__drizzle_migrations',
  );
  const { applied, newest } = rows.rows[0] ?? { applied: 0, newest: null };
  if (newest === null) return { state: 'empty', applied, known };
  const newestKnown = journal.entries.at(-1)?.when ?? 0;
  const state = newest > newestKnown ? 'newer' : newest < newestKnown ? 'outdated' : 'current';
  return { state, applied, known };
};

/**
 * Brings the schema up to this binary's. Safe to call from many replicas at once: one migrates, the others wait.
 * Throws OrgtrailError `database_too_new` (exit 3) where a later orgtrail has been here.
 */
export const migrateDatabase = async (pool: Pool): Promise<SchemaState> => {
  await inTransaction(pool, async (client) => {
    // drizzle's migrator takes no lock. A transaction-scoped lock on a connection of its own also holds behind a pooler
    // in transaction mode, where a session lock would be left on a connection that somebody else gets next.
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await refuseUnsupportedServer(pool);
    const before = await readSchemaState(pool);
    refuseNewer(before);
    if (before.state !== 'current') await migrate(drizzle(pool), { migrationsFolder });
  });
  return await readSchemaState(pool);
};

/** Throws OrgtrailError `database_too_new` for a database that a later orgtrail has migrated. */
export const refuseNewer = (schema: SchemaState): void => {
  if (schema.state !== 'newer') return;
  throw new OrgtrailError(
    'database_too_new',
    `the database has ${schema.applied} migrations, this orgtrail knows ${schema.known}: a later version has migrated it`,
    { hint: 'run that later version, or point DATABASE_URL at another database' },
  );
};

const refuseUnsupportedServer = async (pool: Pool): Promise<void> => {
  const { rows } = await pool.query<{ version: number; name: string }>(
    "select current_setting('server_version_num')::integer as version, current_setting('server_version') as name",
  );
  if ((rows[0]?.version ?? 0) >= OLDEST_SUPPORTED) return;
  throw new OrgtrailError('configuration', `PostgreSQL ${rows[0]?.name} is too old`, {
    hint: 'orgtrail needs PostgreSQL 15 or later',
  });
};
