import { randomBytes } from 'node:crypto';
import { Client, type Pool } from 'pg';
import { inject } from 'vitest';
import { createPool } from '../../src/store/pool.ts';
import { withDatabase } from './postgres-server.ts';

export interface TestDatabase {
  readonly url: string;
  readonly pool: Pool;
  /** Drops it. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_SECONDS = 600;

/** A database of its own for a test (file): a copy of the migrated template, or empty. */
export const createTestDatabase = async (options: { readonly empty?: boolean } = {}): Promise<TestDatabase> => {
  const serverUrl = inject('serverUrl');
  const name = `orgtrail_test_${randomBytes(6).toString('hex')}`;
  await asAdmin(
    serverUrl,
    `create database ${name}${options.empty === true ? '' : ` template ${inject('templateName')}`}`,
  );
  // A server with very much else to do is late with new connections, too.
  const url = `${withDatabase(serverUrl, name)}?connect_timeout=${CONNECT_TIMEOUT_SECONDS}`;
  const pool = createPool(url, 8, () => {});
  return {
    url,
    pool,
    close: async () => {
      await pool.end();
      await asAdmin(serverUrl, `drop database ${name} with (force)`);
    },
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
