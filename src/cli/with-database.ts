import type { Logger } from 'pino';
import { openDatabase } from '../app/open-database.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { secretsOf } from '../config/redaction.ts';
import type { Pool } from '../postgres/pool.ts';
import { requireCurrentSchema } from '../postgres/schema/migrate.ts';
import { createLogger } from '../telemetry/log.ts';
import type { CliContext } from './cli-context.ts';

/** What a command has beside the pool. */
export interface OpenedDatabase {
  readonly config: Config;
  /** Writes to stderr. */
  readonly logger: Logger;
  readonly url: string;
}

/**
 * Opens a database that exists, for a command that needs nothing else, and closes it. Throws OrgtrailError when there is none,
 * or when its schema is not that of this version.
 */
export const withDatabase = async <T>(
  context: CliContext,
  use: (pool: Pool, opened: OpenedDatabase) => Promise<T>,
): Promise<T> => {
  const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
  for (const warning of config.unknownSettings) logger.warn(warning);
  const database = await openDatabase(config, logger, { mustExist: true });
  try {
    await requireCurrentSchema(database.pool);
    return await use(database.pool, { config, logger, url: database.url });
  } finally {
    await database.close();
  }
};
