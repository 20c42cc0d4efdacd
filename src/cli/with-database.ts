import type { Pool } from 'pg';
import { loadConfig } from '../config.ts';
import { openDatabase } from '../database.ts';
import { createLogger } from '../log.ts';
import { requireCurrentSchema } from '../store/migrate.ts';
import { secretsOf } from './secrets.ts';
import type { VerbContext } from './verb-context.ts';

/** Opens the database for a verb that needs nothing else, and closes it. Throws OrgtrailError where its schema is another one. */
export const withDatabase = async <T>(context: VerbContext, use: (pool: Pool) => Promise<T>): Promise<T> => {
  const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
  const database = await openDatabase(config, logger);
  try {
    await requireCurrentSchema(database.pool);
    return await use(database.pool);
  } finally {
    await database.close();
  }
};
