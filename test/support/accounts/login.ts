import { randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import type { TestDatabase } from '../postgres/database.ts';

/** An account of the server, as an operator would make one. */
export interface Login extends AsyncDisposable {
  readonly name: string;
  /** The test database, as this account. */
  readonly url: string;
  readonly pool: Pool;
}

/** Makes an account that may log in to the server of the database, a member of the roles, and removes it at the end. */
export const createLogin = async (
  database: Pick<TestDatabase, 'url' | 'pool'>,
  memberOf: readonly string[] = [],
  password = randomBytes(12).toString('hex'),
): Promise<Login> => {
  const name = `orgtrail_test_${randomBytes(5).toString('hex')}`;
  await database.pool.query(`create role ${name} login password '${password}'`);
  for (const role of memberOf) await database.pool.query(`grant ${role} to ${name}`);
  const url = new URL(database.url);
  url.username = name;
  url.password = encodeURIComponent(password);
  const pool = new Pool({ connectionString: url.href, max: 2 });
  return {
    name,
    url: url.href,
    pool,
    [Symbol.asyncDispose]: async () => {
      await pool.end();
      await database.pool.query(`reassign owned by ${name} to current_user`);
      await database.pool.query(`drop owned by ${name}`);
      await database.pool.query(`drop role ${name}`);
    },
  };
};
