import { Client } from 'pg';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';

/** The login of daemons on a server of the tests: a member of orgtrail_ingest, and nothing else. */
const DAEMON = 'orgtrail_test_daemon';
const PASSWORD = 'password-of-the-test-daemon';

/** The same database, as the daemon's account. */
export const asDaemon = (url: string): string => {
  const own = new URL(url);
  own.username = DAEMON;
  own.password = PASSWORD;
  return own.href;
};

const made = new Map<string, Promise<void>>();

/** Makes the daemon's account and the roles on a server, once for all its databases. `url` is of an account that may make roles. */
const createDaemonAccount = (url: string): Promise<void> => {
  const { host } = new URL(url);
  // Two at once would change the same role: "tuple concurrently updated".
  const making = made.get(host) ?? createRoles(url);
  made.set(host, making);
  return making;
};

const createRoles = async (url: string): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const role of ['orgtrail_ingest nologin', 'orgtrail_reader nologin', `${DAEMON} login`]) {
      await client.query(
        `do $$ begin create role ${role}; exception when duplicate_object or unique_violation then null; end $$`,
      );
    }
    await client.query(`alter role ${DAEMON} password '${PASSWORD}'`);
    await client.query(`grant orgtrail_ingest to ${DAEMON}`);
  } finally {
    await client.end();
  }
};

/**
 * Prepares a database as docs/operations says: its owner migrates with the roles, the daemon is a member of orgtrail_ingest. Returns the
 * daemon's URL. `adminUrl`: of an account that may make roles, if that of the owner may not.
 */
export const prepareForDaemon = async (ownerUrl: string, adminUrl: string = ownerUrl): Promise<string> => {
  await createDaemonAccount(adminUrl);
  const pool = createPool(ownerUrl, 2, () => {});
  try {
    await migrateDatabase(pool, { roles: true });
  } finally {
    await pool.end();
  }
  return asDaemon(ownerUrl);
};
