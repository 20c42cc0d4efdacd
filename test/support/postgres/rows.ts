import type { Pool } from 'pg';

type Asked = Pick<Pool, 'query'>;

export const rowsOf = async <T extends object>(
  pool: Asked,
  statement: string,
  parameters: readonly unknown[] = [],
): Promise<readonly T[]> => (await pool.query<T>(statement, [...parameters])).rows;

/** What the first column of each row has. */
export const valuesOf = async <T>(pool: Asked, statement: string, parameters: readonly unknown[] = []) =>
  (await rowsOf(pool, statement, parameters)).map((row) => Object.values(row)[0] as T);

/** What the first column of the first row has. */
export const firstValue = async <T>(pool: Asked, statement: string, parameters: readonly unknown[] = []) =>
  (await valuesOf<T>(pool, statement, parameters))[0] as T;
