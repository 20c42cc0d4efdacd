import { randomBytes } from 'node:crypto';
import { Client, type Pool } from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { asDaemon } from '../accounts/daemon-account.ts';
import { withDatabase } from './postgres-server.ts';

export interface TestDatabase {
  /** Of the owner of the schema. */
  readonly url: string;
  /** Of a member of orgtrail_ingest: what a daemon uses. */
  readonly daemonUrl: string;
  /** As the owner. */
  readonly pool: Pool;
  /** Drops it. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_SECONDS = 600;

export interface TestDatabaseOptions {
  readonly empty?: boolean;
  /** Another server than that of the run, by the URL of a superuser: without the roles, unless it is made with them. */
  readonly server?: string;
  /** A copy of this one, whose connections are closed for it. */
  readonly copyOf?: TestDatabase;
}

/** A database of its own for a test (file): a copy of the migrated template, or empty. */
export const createTestDatabase = async ({
  empty = false,
  server,
  copyOf,
}: TestDatabaseOptions = {}): Promise<TestDatabase> => {
  const serverUrl = server ?? inject('serverUrl');
  const name = `orgtrail_test_${randomBytes(6).toString('hex')}`;
  const copied = copyOf && new URL(copyOf.url).pathname.slice(1);
  const template =
    empty || server !== undefined ? '' : ` template ${copied ?? inject('templateName')} strategy file_copy`;
  if (copied !== undefined) {
    await asAdmin(
      serverUrl,
      `select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = '${copied}'`,
    );
  }
  await asAdmin(serverUrl, `create database ${name}${template}`);
  // A server with very much else to do is late with new connections, too.
  const url = `${withDatabase(serverUrl, name)}?connect_timeout=${CONNECT_TIMEOUT_SECONDS}`;
  const pool = createPool(url, 8, () => {});
  if (server !== undefined && !empty) await migrateDatabase(pool);
  return {
    url,
    daemonUrl: asDaemon(url),
    pool,
    close: async () => {
      await pool.end();
      // A client that is being destroyed reports the end of its connection as an error that no listener takes.
      await asAdmin(
        serverUrl,
        `do $$ begin for n in 1..50 loop
           exit when not exists (select from pg_stat_activity where datname = '${name}');
           perform pg_sleep(0.02), pg_stat_clear_snapshot();
         end loop; end $$`,
      );
      await asAdmin(serverUrl, `drop database ${name} with (force)`);
    },
  };
};

/** The same for all tests of a file or a `describe`: there from its first `beforeAll` on, and dropped after the last test. */
export const databaseOfTests = (options: TestDatabaseOptions = {}): TestDatabase => {
  let opened: TestDatabase;
  beforeAll(async () => {
    opened = await createTestDatabase(options);
  });
  afterAll(async () => await opened?.close());
  return {
    get url() {
      return opened.url;
    },
    get daemonUrl() {
      return opened.daemonUrl;
    },
    get pool() {
      return opened.pool;
    },
    close: () => opened.close(),
  };
};

const asAdmin = async (serverUrl: string, statement: string): Promise<void> => {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
};
