import type { Readable, Writable } from 'node:stream';
import type { Logger } from 'pino';
import { type Config, loadConfig, secretsOf } from '../app/config/config.ts';
import { openDatabase } from '../app/open-database.ts';
import { createLogger, migrateWithLog } from '../app/telemetry/log.ts';
import { type ApiError, exitCodes, reasonOf } from '../base/errors.ts';
import type { AccessKind } from '../http/access/access.ts';
import { noteAccess } from '../http/access/access-log.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { readSchemaState, requireCurrentSchema } from '../postgres/schema/migrate.ts';

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

/** What a command sees of the process. Built by main.ts, the only file that touches `process`; by tests, too. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The file that some of `env` is from; undefined if there is none. */
  readonly settingsFile?: string | undefined;
  /** The settings that are from it. */
  readonly namesOfFile?: readonly string[];
  /** For commands that speak a protocol. */
  readonly stdin?: Readable;
  /** `columns`: of a terminal. */
  readonly stdout: Writable & { readonly columns?: number };
  readonly stderr: Writable;
  /** True when stdout is a terminal: progress is drawn there, plain lines elsewhere. */
  readonly interactive: boolean;
  /** Aborts on the first SIGINT or SIGTERM. (A second signal exits immediately.) */
  readonly signal: AbortSignal;
  /**
   * For a command that ends by Ctrl-C in the ordinary course of things: its exit code counts, not that of the signal, and
   * `leaveAtOnce` is run before the second signal ends the process. It must not take long.
   */
  readonly takeOverStop?: (leaveAtOnce: () => Promise<void>) => void;
  /** Registers what SIGHUP asks for. Without it SIGHUP ends the process, as when its terminal is closed. */
  readonly onReloadAsked?: ((listener: () => void) => void) | undefined;
}

/** What a command has done, for the trail of access. */
interface DoneCommand {
  readonly kind: AccessKind;
  /** Such as `hold add`. */
  readonly command: string;
  /** Who is said to have asked for it; the trail always has the account of the database. */
  readonly by?: string | undefined;
  /** Its arguments, without secrets. */
  readonly what: Readonly<Record<string, unknown>>;
}

/** Notes it in `access_log`. What was done stays done: a row that cannot be written is a warning on stderr. */
export const noteCommand = async (
  pool: Pool,
  { stderr }: Pick<CliContext, 'stderr'>,
  { kind, command, by, what }: DoneCommand,
): Promise<void> => {
  try {
    await noteAccess(pool, [{ kind, outcome: 'ok', who: by, route: command, what, requests: 1 }]);
  } catch (error) {
    stderr.write(`orgtrail: the command succeeded, but could not be recorded in access_log: ${reasonOf(error)}\n`);
  }
};

/** What to do about a failure of Cloudflare's API, and what it ends with. */
export const apiAdvice = (error: ApiError): { hint: string; exitCode: number } => {
  switch (error.failure) {
    case 'unauthorized':
      return { hint: 'the credential is wrong or expired: check CLOUDFLARE_API_TOKEN', exitCode: exitCodes.usage };
    case 'bad_request':
      return {
        hint: 'Cloudflare did not accept the request or the credential: check the token and ORGTRAIL_FILTERS',
        exitCode: exitCodes.usage,
      };
    case 'refused':
      return {
        hint:
          'check that the token is right and has not expired; it must be a token of a user (not of an account) with "User Details Read"; ' +
          'or use CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY (the documented workaround), or name them in ORGTRAIL_ORGANIZATIONS',
        exitCode: exitCodes.usage,
      };
    default:
      if (/CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(error.message)) {
        return {
          hint:
            'Node does not trust the certificate of this host: check CLOUDFLARE_BASE_URL and the clock of this host; behind a ' +
            'proxy that intercepts TLS, name the file of its certificate authority in NODE_EXTRA_CA_CERTS',
          exitCode: exitCodes.unreachable,
        };
      }
      return {
        hint: 'check CLOUDFLARE_BASE_URL, the network, and www.cloudflarestatus.com',
        exitCode: exitCodes.unreachable,
      };
  }
};
