import { cpus } from 'node:os';
import { Client } from 'pg';
import { createPartitions } from '../../src/ingest/sync/sync-store.sql.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { migrateDatabase } from '../../src/postgres/schema/migrate.ts';
import { startCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { withDatabase } from '../../test/support/postgres/postgres-server.ts';
import { findPostmaster } from './measure.ts';

/** A database with the schema and its partitions, on the server that all contenders are measured on. */
export interface BenchDatabase {
  readonly url: string;
  readonly admin: Client;
  readonly postmaster: number | undefined;
  /** As a first start finds it; the partitions stay. */
  empty(): Promise<void>;
  /** What has been read is to be read again; what is stored stays. */
  forget(): Promise<void>;
  /** The organizations, too; events stay. */
  forgetOrganizations(): Promise<void>;
  /** Rows stored, and the feed's last position. */
  counts(): Promise<{ readonly rows: number; readonly position: number }>;
  drop(): Promise<void>;
}

export interface BenchServer extends AsyncDisposable {
  createDatabase(): Promise<BenchDatabase>;
  /** One line: version, settings, machine. */
  describe(): Promise<string>;
}

/** Of the embedded server, beside its defaults. */
const settings = { fsync: 'on', shared_buffers: '512MB', max_wal_size: '8GB', checkpoint_timeout: '30min' };
const HISTORY_MS = 548 * 86_400_000;

/** TEST_DATABASE_URL (an account that may create databases, run CHECKPOINT), else the embedded server in a temporary directory. */
export const openServer = async (): Promise<BenchServer> => {
  const given = process.env['TEST_DATABASE_URL'];
  const cluster = given === undefined ? await startCluster({ settings }) : undefined;
  const url = given ?? cluster?.url() ?? '';
  const root = new Client(url);
  root.on('error', () => {});
  await root.connect();
  const names: string[] = [];
  return {
    createDatabase: async () => {
      const name = `orgtrail_bench_${process.pid}_${names.length}`;
      names.push(name);
      await root.query(`create database ${name}`);
      return await openDatabase(withDatabase(url, name), () => root.query(`drop database ${name} with (force)`));
    },
    describe: () => describe(root, given === undefined ? 'embedded' : 'TEST_DATABASE_URL'),
    [Symbol.asyncDispose]: async () => {
      if (cluster === undefined) {
        for (const name of names) await root.query(`drop database if exists ${name} with (force)`);
      }
      await root.end();
      await cluster?.[Symbol.asyncDispose]();
    },
  };
};

const openDatabase = async (url: string, drop: () => Promise<unknown>): Promise<BenchDatabase> => {
  const pool = createPool(url, 2, () => {});
  await migrateDatabase(pool);
  await createPartitions(pool, Date.now() - HISTORY_MS);
  await pool.end();
  const admin = new Client(url);
  await admin.connect();
  // What breaks fails its statement; a server that is stopped need not be told twice.
  admin.on('error', () => {});
  const forgotten = 'coverage, coverage_readings, lanes, sources, organizations, organization_changes';
  return {
    url,
    admin,
    postmaster: await findPostmaster(admin),
    empty: async () => {
      await admin.query(`truncate audit_events, audit_event_changes, ${forgotten} cascade`);
      await admin.query('update feed_head set position = 0');
      await admin.query('checkpoint');
    },
    forget: async () => {
      await admin.query('truncate coverage, coverage_readings, lanes');
      await admin.query('checkpoint');
    },
    forgetOrganizations: async () => {
      await admin.query(`truncate ${forgotten} cascade`);
      await admin.query('checkpoint');
    },
    counts: async () => {
      const { rows } = await admin.query<{ rows: number; position: number }>(
        'select (select count(*) from audit_events)::float8 as rows, position::float8 as position from feed_head',
      );
      return rows[0] ?? { rows: 0, position: 0 };
    },
    drop: async () => {
      await admin.end();
      await drop();
    },
  };
};

const described = ['shared_buffers', 'max_wal_size', 'fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum'];

const describe = async (client: Client, what: string): Promise<string> => {
  const { rows } = await client.query<{ name: string; value: string }>(
    'select name, current_setting(name) as value from pg_settings where name = any($1) order by name',
    [['server_version', ...described]],
  );
  const of = new Map(rows.map(({ name, value }) => [name, value]));
  const values = described.map((name) => `${name} ${of.get(name)}`).join(', ');
  const model = cpus()[0]?.model ?? 'unknown';
  return `PostgreSQL ${of.get('server_version')} (${what}; ${values}); Node.js ${process.version}; ${cpus().length} × ${model}, shared by all`;
};
