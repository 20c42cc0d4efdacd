import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { packageFile } from '../../base/package-files.ts';
import { inTransaction, longStatement } from '../pool.ts';
import { sqlState } from '../sql-state.ts';
import {
  buildIndexOnline,
  IMPATIENT,
  isInTheWay,
  type OnBlocked,
  pauseAfterTryMs,
  readEventIndex,
  tellBlockers,
} from './online-index.ts';
import { areRolesInUse, grantRoles } from './roles.ts';

export const LOCK_TABLE = 'lock table drizzle.__drizzle_migrations in share row exclusive mode';
const MAKE_TABLE = `create schema if not exists drizzle;
  create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;
/** As long as a statement of a migration may take. */
const MIGRATION_TIMEOUT_MS = 1_800_000;
const WAIT_BETWEEN_LOOKS_MS = 200;
/** What a file begins with that locks readers out: applied by itself, as the first of a transaction. */
const OWN_TRANSACTION = '-- own transaction';
/** Shorter than the time after which the server takes a transaction for abandoned (`inTransaction`). */
const TOUCH_EVERY_MS = 20_000;
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCK_NOT_AVAILABLE = '55P03';
/** Unique violation of a catalog, duplicate schema, duplicate table. */
const MADE_MEANWHILE = ['23505', '42P06', '42P07'];
const IMPATIENT_LOCK_MS = 50;
const OLDEST_SUPPORTED = 150_000;

export interface SchemaState {
  /**
   * `empty`: no orgtrail schema yet. `newer`: made by a later orgtrail, which this one must not touch. `too old`: it lacks migrations of 0.2.0,
   * which this one has no more.
   */
  readonly state: 'current' | 'outdated' | 'too old' | 'newer' | 'empty';
  readonly applied: number;
  readonly known: number;
  /** When the newest applied one was made, in milliseconds since 1970; orders them. */
  readonly newest: number;
}

/** Compares the database's migrations with those of this binary. Read-only. Called by check, status and readiness. */
export const readSchemaState = async (
  pool: Pool | PoolClient,
  migrations: readonly Migration[] = readMigrations(),
): Promise<SchemaState> => {
  const known = of020.length + migrations.length;
  const exists = await pool.query<{ found: string | null }>(
    "select to_regclass('drizzle.__drizzle_migrations') as found",
  );
  if (exists.rows[0]?.found == null) return { state: 'empty', applied: 0, known, newest: 0 };
  const newestKnown = migrations.at(-1)?.madeMs ?? 0;
  // Without parameters: in a transaction a statement with some keeps its snapshot, which an index that is built beside it waits for.
  const { rows } = await pool.query<{ oldest: number | null; newest: number | null; of020: number; later: number }>(
    `select min(created_at)::float8 as oldest, max(created_at)::float8 as newest,
       (count(distinct created_at) filter (where created_at in (${of020.join()})))::integer as of020,
       (count(*) filter (where created_at > ${newestKnown}))::integer as later
     from drizzle.__drizzle_migrations`,
  );
  const [row] = rows;
  if (row === undefined || row.newest === null) return { state: 'empty', applied: 0, known, newest: 0 };
  const { newest, oldest, later } = row;
  // A database that began with the schema as a whole has none of those of 0.2.0.
  const isTooOld = (oldest ?? 0) <= (of020.at(-1) ?? 0) && row.of020 < of020.length;
  if (newest < newestKnown && isTooOld) return { state: 'too old', applied: row.of020, known, newest };
  const state = newest > newestKnown ? 'newer' : newest < newestKnown ? 'outdated' : 'current';
  const applied = of020.length + migrations.filter(({ madeMs }) => madeMs <= newest).length + later;
  return { state, applied, known, newest };
};

export interface MigrateOptions {
  /** Makes the roles and brings their rights up to date; without it, only if they are in use and something was migrated. */
  readonly roles?: boolean;
  /** Hears once that another process is migrating, and is waited for. */
  readonly onWait?: () => void;
  /** Called for each migration before it is applied. */
  readonly onStep?: (step: MigrationStep) => void;
  /** Hears again and again whom a statement waits for. */
  readonly onBlocked?: OnBlocked;
  /** Those of this binary, unless a test gives others. */
  readonly migrations?: readonly Migration[];
}

/**
 * Brings the schema up to this binary's. Safe to call from many replicas at once: one migrates, the others wait. A schema that is
 * current needs no right and no lock. Throws OrgtrailError `database_too_new` (exit 3) if a later orgtrail has been here,
 * `configuration` (exit 2) if the account may not do it, or the database is of before 0.2.0.
 */
export const migrateDatabase = async (pool: Pool, options: MigrateOptions = {}): Promise<SchemaState> => {
  const found = await readSchemaState(pool, options.migrations);
  if (found.state === 'current' && options.roles !== true) {
    await requireSupportedServer(pool);
    return found;
  }
  refuseForeign(found);
  const giveUpAt = performance.now() + MIGRATION_TIMEOUT_MS;
  let waits = false;
  for (let tries = 1; ; tries += 1) {
    try {
      const reached = await migrateSome(pool, options);
      if (reached.state === 'current') return reached;
    } catch (error) {
      // Only what has a transaction of its own is impatient: all readers wait behind it. Those lock views first, and migrations tables.
      if (!isInTheWay(error) || performance.now() > giveUpAt) throw error;
      if (error instanceof MigratedElsewhereError) {
        if (!waits) options.onWait?.();
        waits = true;
        await sleep(WAIT_BETWEEN_LOOKS_MS);
      } else await sleep(pauseAfterTryMs(tries));
    }
  }
};

/** One transaction of migrations: all that are missing, or up to one that has a transaction of its own. */
const migrateSome = async (pool: Pool, options: MigrateOptions): Promise<SchemaState> => {
  const { migrations = readMigrations() } = options;
  const found = await readSchemaState(pool, migrations);
  return await inTransaction(pool, async (client) => {
    // Otherwise it would keep a snapshot that an index built beside it waits for.
    await client.query('set transaction isolation level read committed');
    // All in one transaction, whose lock also holds behind a pooler in transaction mode.
    await lockMigrations(pool, client, { ...found, migrations }, options.onWait ?? (() => {}));
    await requireSupportedServer(client);
    const before = await readSchemaState(client, migrations);
    refuseForeign(before);
    const outdated = before.state !== 'current';
    if (before.state === 'empty') await applyBaseline(pool, client, migrations, options).catch(explainForbidden);
    else if (outdated) await applyMissing(pool, client, { ...before, migrations }, options).catch(explainForbidden);
    const reached = await readSchemaState(client, migrations);
    // The rights are those of the last migration: they name tables that earlier ones lack.
    const isLast = reached.state === 'current';
    const isAsked = options.roles === true;
    if (isLast && (isAsked || (outdated && (await areRolesInUse(client))))) await grantRoles(client, { isAsked });
    return reached;
  });
};

/** Another process holds the lock of migrations. It is waited for without a transaction: a statement that waits for a lock may keep a
 * snapshot, and the indexes that the other builds would wait for that. */
class MigratedElsewhereError extends Error {
  readonly code = LOCK_NOT_AVAILABLE;
}

/**
 * Only an account that may write to the table of migrations can lock it so. Making it waits for another process that is making it, which only
 * an account that may create can be. Throws MigratedElsewhereError.
 */
const lockMigrations = async (
  pool: Pool,
  client: PoolClient,
  { state, migrations }: KnownState,
  onWait: () => void,
): Promise<void> => {
  await client.query(`savepoint before_lock; set local lock_timeout = ${IMPATIENT_LOCK_MS}`);
  for (;;) {
    try {
      if (state === 'empty') await client.query(longStatement(MAKE_TABLE));
      await client.query(longStatement(LOCK_TABLE));
      await client.query('set local lock_timeout to default');
      return;
    } catch (error) {
      const code = sqlState(error) ?? '';
      if (code === INSUFFICIENT_PRIVILEGE) return await waitForMigration(pool, client, error, migrations, onWait);
      if (code === LOCK_NOT_AVAILABLE)
        throw new MigratedElsewhereError('another process is migrating', { cause: error });
      // Another process made the same and has committed it.
      if (state !== 'empty' || !MADE_MEANWHILE.includes(code)) throw error;
      await client.query(`rollback to savepoint before_lock; set local lock_timeout = ${IMPATIENT_LOCK_MS}`);
    }
  }
};

/** An account that may not migrate waits for one that does; if none does, it hears what it may not. */
const waitForMigration = async (
  pool: Pool,
  client: PoolClient,
  refusal: unknown,
  migrations: readonly Migration[],
  onWait: () => void,
): Promise<void> => {
  await client.query('rollback to savepoint before_lock');
  const giveUpAt = performance.now() + MIGRATION_TIMEOUT_MS;
  let told = false;
  while ((await readSchemaState(pool, migrations)).state !== 'current') {
    const { rowCount } = await pool.query(
      `select from pg_locks l where granted and database = (select oid from pg_database where datname = current_database())
         and case when to_regclass('drizzle.__drizzle_migrations') is null
           -- A table that is not committed yet.
           then mode = 'AccessExclusiveLock' and not exists (select from pg_class c where c.oid = l.relation)
           else relation = to_regclass('drizzle.__drizzle_migrations') and mode = 'ShareRowExclusiveLock' end`,
    );
    if (rowCount === 0 && (await readSchemaState(pool, migrations)).state === 'current') return;
    if (rowCount === 0 || performance.now() > giveUpAt) explainForbidden(refusal);
    if (!told) onWait();
    told = true;
    await sleep(WAIT_BETWEEN_LOOKS_MS);
  }
};

const explainForbidden = (error: unknown): never => {
  if (sqlState(error) !== INSUFFICIENT_PRIVILEGE || !(error instanceof Error)) throw error;
  throw new OrgtrailError(
    'configuration',
    `the schema is not that of this version, and this account may not change it: ${error.message}`,
    { hint: 'run `orgtrail migrate` with an account that owns the database or its schema', cause: error },
  );
};

/** A migration that is about to be applied, the `number`-th of `of` that are missing. */
export interface MigrationStep {
  readonly number: number;
  readonly of: number;
}

/** The schema as a whole, on an empty database: nothing waits for it, and it seldom waits for something. */
const applyBaseline = async (
  pool: Pool,
  client: PoolClient,
  migrations: readonly Migration[],
  { onStep = () => {}, onBlocked = () => {} }: MigrateOptions,
): Promise<void> => {
  onStep({ number: 1, of: 1 });
  const { hash, settings, subjects } = readBaseline();
  for (const statement of [settings, ...subjects]) {
    await tellBlockers(pool, statement, onBlocked, () => client.query(longStatement(statement)));
  }
  await record(client, hash, migrations.at(-1)?.madeMs ?? 0);
};

const record = (client: PoolClient, hash: string, madeMs: number) =>
  client.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [hash, madeMs]);

type KnownState = SchemaState & Required<Pick<MigrateOptions, 'migrations'>>;

const applyMissing = async (
  pool: Pool,
  client: PoolClient,
  { newest, migrations }: KnownState,
  { onStep = () => {}, onBlocked = () => {} }: MigrateOptions,
): Promise<void> => {
  const missing = migrations.filter(({ madeMs }) => madeMs > newest);
  const isAlone = ({ statements: [first = ''] }: Migration) => first.startsWith(OWN_TRANSACTION);
  const end = missing.findIndex((migration, index) => index > 0 && isAlone(migration));
  const batch = missing.slice(0, end === -1 ? undefined : end);
  const [first] = batch;
  if (first !== undefined && isAlone(first)) {
    onStep({ number: 1, of: missing.length });
    await buildIndexes(pool, client, first.statements, onBlocked);
    await client.query(IMPATIENT);
  }
  for (const [index, migration] of batch.entries()) {
    onStep({ number: index + 1, of: missing.length });
    for (const statement of migration.statements) {
      await tellBlockers(pool, statement, onBlocked, () => client.query(longStatement(statement)));
    }
    await record(client, migration.hash, migration.madeMs);
  }
  if (batch.length < missing.length) return;
  const { settings, functions } = readBaseline();
  for (const statement of [settings, ...functions]) await client.query(longStatement(statement));
};

/**
 * Builds the indexes of a migration before it is applied, by other connections, so that entries are stored meanwhile: the migration then
 * finds them there. `client` holds the lock of migrations, and no snapshot that they would wait for.
 */
const buildIndexes = async (
  pool: Pool,
  client: PoolClient,
  statements: readonly string[],
  onBlocked: OnBlocked,
): Promise<void> => {
  const indexes = statements.map(readEventIndex).filter((index) => index !== undefined);
  if (indexes.length === 0) return;
  let touched: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    touched = client.query('select').catch(() => {});
  }, TOUCH_EVERY_MS);
  try {
    for (const index of indexes) await buildIndexOnline(pool, index, { onBlocked });
  } finally {
    clearInterval(timer);
    await touched;
  }
};

/** Throws OrgtrailError for a database that this orgtrail can do nothing with: `database_too_new`, or `configuration` if it is too old. */
export const refuseForeign = ({ state, applied, known }: SchemaState): void => {
  if (state === 'newer') {
    throw new OrgtrailError(
      'database_too_new',
      `the database has ${applied} migrations, this orgtrail knows ${known}: a later version has migrated it`,
      { hint: 'run that later version, or point DATABASE_URL at another database' },
    );
  }
  if (state === 'too old') {
    throw new OrgtrailError(
      'configuration',
      `the schema of the database is too old: it has ${applied} of the ${of020.length} migrations of 0.2.0`,
      {
        hint: 'upgrade through 0.2.0 first: run `orgtrail migrate` of the last 0.2.0 on this database, then this version',
      },
    );
  }
};

/** For commands that read what is there and change no schema. Throws OrgtrailError if it is not that of this version. */
export const requireCurrentSchema = async (pool: Pool): Promise<void> => {
  const schema = await readSchemaState(pool);
  refuseForeign(schema);
  if (schema.state === 'current') return;
  if (schema.state === 'empty') {
    throw new OrgtrailError('configuration', 'no orgtrail data here yet: the database has no schema of orgtrail', {
      hint: 'start the daemon with `orgtrail run`, which makes the schema, or check that DATABASE_URL names its database',
    });
  }
  throw new OrgtrailError('database_outdated', `the database's schema is ${schema.state}`, {
    hint: 'run `orgtrail migrate` or start the daemon',
  });
};

/** Its name, as `17.2`. Throws OrgtrailError `configuration` for a server that is too old. */
export const requireSupportedServer = async (client: Pool | PoolClient): Promise<string> => {
  const { rows } = await client.query<{ version: number; name: string }>(
    "select current_setting('server_version_num')::integer as version, current_setting('server_version') as name",
  );
  const { version, name } = rows[0] ?? { version: 0, name: '' };
  if (version >= OLDEST_SUPPORTED) return name;
  throw new OrgtrailError('configuration', `PostgreSQL ${name} is too old`, {
    hint: 'orgtrail needs PostgreSQL 15 or later',
  });
};

/** How many locks there is room for, and what a statement about all of history locks. */
export interface LockRoom {
  readonly months: number;
  /** Of all months, tables and indexes. */
  readonly relations: number;
  readonly perTransaction: number;
  readonly connections: number;
}

export const readLockRoom = async (pool: Pool): Promise<LockRoom> => {
  const { rows } = await pool.query<LockRoom>(
    `select count(distinct i.inhrelid)::integer as months, (count(distinct i.inhrelid) + count(x.indexrelid))::integer as relations,
       current_setting('max_locks_per_transaction')::integer as "perTransaction",
       current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer as connections
     from pg_inherits i left join pg_index x on x.indrelid = i.inhrelid where i.inhparent = to_regclass('audit_events')`,
  );
  const [room] = rows;
  if (room === undefined) throw new Error('PostgreSQL does not say how many locks it has room for');
  return room;
};

/**
 * What `drizzle/` holds. `schema/` is the schema, by subject: an empty database gets it as a whole, recorded under the number of the newest
 * migration, and no migration. `NNNN_name.sql` are the migrations since 0.2.0: they bring an older database to the same tables, views and
 * indexes. A line `-- schema/subject.sql` stands for a subject that is made again: what is added to that later is added if it is not there yet.
 * Behind the last one all functions are replaced by those of `schema/`, so a migration has only functions that it needs itself, and drops those
 * whose parameters or result change. test/long/postgres/baseline.test.ts compares the two, in every detail.
 */
const folder = packageFile('drizzle');

/** In the order in which they are applied: views and triggers need what they name, functions do not. */
const SUBJECTS = 'sources events coverage commit feed sinks findings archive evidence access search places roles';

/**
 * A migration is known by its number, and recorded as so many milliseconds after this: as 0.2.0 did, which used drizzle's table. The function
 * orgtrail_schema_version, and with it the journal of the evidence, reads the number from there.
 */
const FIRST_MADE_MS = 1_795_550_000_000;

/** What 0.2.0 has recorded when it has applied all of its migrations: a database that lacks one of them is too old. */
export const of020: readonly number[] = [
  ...Array.from({ length: 24 }, (_, index) => index),
  ...[25, 26, 29, 30, 32, 33, 34, 35, 36, 38, 41, 43, 46, 47, 48, 50, 52, 53, 55, 57, 58, 59, 60, 61, 62, 65],
].map((number) => FIRST_MADE_MS + number);

export interface Migration {
  readonly madeMs: number;
  readonly hash: string;
  readonly statements: readonly string[];
}

const ofTexts = (number: number, texts: readonly string[], statements: readonly string[]): Migration => ({
  madeMs: FIRST_MADE_MS + number,
  hash: createHash('sha256').update(texts.join('')).digest('hex'),
  statements,
});

const readSubject = (subject: string): string => readFileSync(join(folder, 'schema', `${subject}.sql`), 'utf8');

/** Those since 0.2.0, in order. */
export const readMigrations = (): readonly Migration[] =>
  readdirSync(folder)
    .filter((name) => /^\d{4}_\w+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      const whole = text.replace(/^-- schema\/(\w+)\.sql$/m, (_, subject: string) => {
        const made = readSubject(subject).replace(/^create (function|trigger)/gm, 'create or replace $1');
        return made.replace(/^create (table|index)/gm, 'create $1 if not exists');
      });
      return ofTexts(Number(name.slice(0, 4)), [text], whole.split('--> statement-breakpoint'));
    });

/** `subjects`: the schema as a whole, a statement each. `functions`: what of it may be repeated: functions, and who may call them. */
const readBaseline = () => {
  const subjects = SUBJECTS.split(' ').map(readSubject);
  // Functions name each other and views, in whatever order. Those with the rights of their owner find nothing but what is PostgreSQL's or
  // orgtrail's own: they keep the path that is set here (`set search_path from current`), in whichever schema that is.
  const settings = `set local check_function_bodies = off;
    select set_config('search_path', format('%I, pg_temp', current_schema()), true)`;
  const made = subjects.join('').match(/^create function [\s\S]*?\$function\$;$/gm) ?? [];
  const functions = [...made.map((text) => text.replace(/^create/, 'create or replace')), subjects.at(-1) ?? ''];
  return { hash: ofTexts(0, subjects, []).hash, settings, subjects, functions };
};
