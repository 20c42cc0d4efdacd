import type { Logger } from 'pino';
import type { Pool } from '../postgres/pool.ts';
import type { OnBlocked } from '../postgres/schema/blockers.ts';
import { type MigrationStep, migrateDatabase, type SchemaState } from '../postgres/schema/migrate.ts';

/** Most migrations take a moment; one that builds an index over all events takes minutes, and must not look like a start that hangs. */
const TELL_EVERY_MS = 10_000;
/** Those that stay in the way are named again. */
const NAME_AGAIN_MS = 60_000;

/**
 * Migrates as `migrateDatabase` does, and logs what it does: that it begins, every ten seconds which step it is at and for how long,
 * and that it has ended. Says nothing if the schema is current. Called by the composition root and by `migrate`.
 */
export const migrateWithLog = async (
  pool: Pool,
  logger: Logger,
  options: { readonly roles?: boolean; readonly tellEveryMs?: number } = {},
): Promise<SchemaState> => {
  const beganAt = performance.now();
  const seconds = () => Math.round((performance.now() - beganAt) / 1_000);
  let step: MigrationStep | undefined;
  const timer = setInterval(() => {
    if (step !== undefined) logger.warn({ ...step, seconds: seconds() }, 'schema migration still in progress');
  }, options.tellEveryMs ?? TELL_EVERY_MS);
  const onStep = (next: MigrationStep) => {
    if (step === undefined) logger.info({ migrations: next.of }, 'migrating the schema');
    step = next;
  };
  try {
    const schema = await migrateDatabase(pool, {
      roles: options.roles === true,
      onStep,
      onWait: () => logger.info('waiting for another migration'),
      onBlocked: logBlocked(logger),
    });
    if (step !== undefined) logger.info({ migrations: step.of, seconds: seconds() }, 'schema migrated');
    return schema;
  } finally {
    clearInterval(timer);
  }
};

/** Names the sessions that a statement waits for: at once, if others are in the way, and each minute. */
export const logBlocked = (logger: Logger): OnBlocked => {
  let named = '';
  let againAt = 0;
  return ({ statement, blockers }) => {
    const names = `${statement} ${blockers.map(({ pid }) => pid).join(' ')}`;
    if (names === named && performance.now() < againAt) return;
    named = names;
    againAt = performance.now() + NAME_AGAIN_MS;
    logger.warn({ statement: statement.replaceAll(/\s+/g, ' ').slice(0, 200), blockers }, 'waiting for other sessions');
  };
};
