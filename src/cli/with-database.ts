import type { Logger } from 'pino';
import { openDatabase } from '../app/open-database.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { secretsOf } from '../config/redaction.ts';
import type { Pool } from '../postgres/pool.ts';
import { readSchemaState, requireCurrentSchema } from '../postgres/schema/migrate.ts';
import { createLogger } from '../telemetry/log.ts';
import { migrateWithLog } from '../telemetry/log-migration.ts';
import type { CliContext } from './cli-context.ts';

/** What a command has beside the pool. */
export interface OpenedDatabase {
  readonly config: Config;
  /** Writes to stderr. */
  readonly logger: Logger;
  readonly url: string;
}

interface OpenOptions {
  /** An embedded database that is not there yet is made, as the daemon does; one elsewhere never is. */
  readonly makesEmbedded?: boolean;
}

/**
 * Opens a database that exists, for a command that needs nothing else, and closes it. Throws OrgtrailError when there is none,
 * or when its schema is not that of this version.
 */
export const withDatabase = async <T>(
  context: CliContext,
  use: (pool: Pool, opened: OpenedDatabase) => Promise<T>,
  { makesEmbedded = false }: OpenOptions = {},
): Promise<T> => {
  const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
  for (const warning of config.unknownSettings) logger.warn(warning);
  const database = await openDatabase(config, logger, { mustExist: !makesEmbedded });
  try {
    const isOwn = makesEmbedded && config.databaseUrl === undefined;
    if (isOwn && (await readSchemaState(database.pool)).state === 'empty') await migrateWithLog(database.pool, logger);
    await requireCurrentSchema(database.pool);
    return await use(database.pool, { config, logger, url: database.url });
  } finally {
    await database.close();
  }
};
