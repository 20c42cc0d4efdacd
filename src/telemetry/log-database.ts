import type { Logger } from 'pino';

/** What a pool of connections has to say (postgres/pool.ts), as log lines. */
export const logIdleError =
  (logger: Logger) =>
  (error: Error): void =>
    logger.warn({ reason: error.message }, 'lost an idle database connection');

export const logJump =
  (logger: Logger) =>
  (reason: string): void =>
    logger.warn({ reason }, 'the database failed over or was restored: positions jump');
