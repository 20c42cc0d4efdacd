import type { Pool } from 'pg';
import { standIn } from '../process/for-all-tests.ts';
import { databaseOfTests, type TestDatabase } from './database.ts';

/** The connections of the owner to the database of a file; without one, to one that the file needs for nothing else. */
export const poolOfTests = (database: Pick<TestDatabase, 'pool'> = databaseOfTests()): Pool =>
  standIn(() => database.pool);

/** Those to the database of a world. */
export const poolOfWorld = (world: { readonly database: Pick<TestDatabase, 'pool'> }): Pool =>
  standIn(() => world.database.pool);
