import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { OrgtrailError, reasonOf } from '../base/errors.ts';
import { type EmbeddedServer, hasEmbeddedData, startEmbeddedServer } from '../postgres/embedded-server.ts';
import { openPool } from '../postgres/open-pool.ts';
import { type Pool, requireReachable } from '../postgres/pool.ts';
import type { Config } from './config/config.ts';

export interface DatabaseWait {
  readonly forMs: number;
  readonly signal?: AbortSignal;
}

export interface DatabaseOptions {
  readonly wait?: DatabaseWait | undefined;
  /** An embedded PostgreSQL is then started if it has data already, and never made. */
  readonly mustExist?: boolean;
  readonly latestUrl?: (() => string | undefined) | undefined;
}

const SAY_AGAIN_MS = 10_000;

export type Database = Awaited<ReturnType<typeof openDatabase>>;

/** Starts the embedded database if none is configured. Throws `database_unreachable`, and `configuration` when there is none to read. */
export const openDatabase = async (
  config: Config,
  logger: Logger,
  { wait = { forMs: 0 }, mustExist = false, latestUrl: configuredUrl }: DatabaseOptions = {},
) => {
  let server: EmbeddedServer | undefined;
  if (config.databaseUrl === undefined) {
    if (mustExist) requireEmbeddedData(config.dataDir);
    server = await startEmbeddedServer(config.dataDir);
    logger.debug({ dataDir: config.dataDir }, 'embedded PostgreSQL started');
  }
  const url = config.databaseUrl ?? server?.url ?? '';
  // Each worker has one statement under way; scrapes, health and the budget need connections besides.
  const latestUrl = () => configuredUrl?.() ?? url;
  const { pool, close: closePool } = openPool({ url: latestUrl, size: config.concurrency + 4, logger });
  const close = async (): Promise<void> => {
    await closePool();
    await server?.stop();
  };
  try {
    await waitUntilReachable(pool, url, wait, logger);
  } catch (error) {
    await close();
    throw error;
  }
  return { pool, url, latestUrl, close };
};

const requireEmbeddedData = (dataDir: string): void => {
  if (hasEmbeddedData(dataDir)) return;
  throw new OrgtrailError(
    'configuration',
    `no orgtrail database here: DATABASE_URL is not set, and ${resolve(dataDir)} has none`,
    {
      hint: 'set DATABASE_URL to the database of the daemon, or run this on the host that has its ORGTRAIL_DATA_DIR',
    },
  );
};

const waitUntilReachable = async (
  pool: Pool,
  url: string,
  { forMs, signal }: DatabaseWait,
  logger: Logger,
): Promise<void> => {
  const giveUpAt = performance.now() + forMs;
  let sayAgainAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      return await raceAbort(requireReachable(pool, url), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (performance.now() >= giveUpAt) throw error;
      if (performance.now() >= sayAgainAt) {
        const leftSeconds = Math.round((giveUpAt - performance.now()) / 1_000);
        logger.warn({ reason: reasonOf(error) }, `waiting for the database; giving up in ${leftSeconds} s`);
        sayAgainAt = performance.now() + SAY_AGAIN_MS;
      }
      await sleep(1_000, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
    }
  }
};

/** A connection attempt cannot be aborted, but it need not be waited for. */
const raceAbort = async <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return await work;
  work.catch(() => {});
  const abort = Promise.withResolvers<never>();
  const onAbort = () => abort.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, abort.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};
