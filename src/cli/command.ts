import type { Readable, Writable } from 'node:stream';
import type { Logger } from 'pino';
import { type Config, loadConfig, secretsOf } from '../app/config/config.ts';
import { openDatabase } from '../app/open-database.ts';
import { createLogger, migrateWithLog } from '../app/telemetry/log.ts';
import { type ApiError, type ApiFailure, exitCodes, reasonOf } from '../base/errors.ts';
import type { AccessKind } from '../postgres/access/access.ts';
import { noteAccess } from '../postgres/access/access-log.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { readSchemaState, requireCurrentSchema } from '../postgres/schema/migrate.ts';

export interface OpenedDatabase {
  readonly config: Config;
  /** Writes to stderr. */
  readonly logger: Logger;
  readonly url: string;
}

/** What a command was given: texts and switches. */
export type Given<Texts extends string, Switches extends string = 'json'> = Readonly<
  Partial<Record<Texts, string>> & Partial<Record<Switches, boolean>>
>;

/**
 * Opens and closes an existing database. Throws OrgtrailError if there is none or its schema is of another version.
 * `makesEmbedded`: creates a missing embedded one, as the daemon does; never another one.
 */
export const withDatabase = async <T>(
  context: CliContext,
  use: (pool: Pool, opened: OpenedDatabase) => Promise<T>,
  { makesEmbedded = false }: { readonly makesEmbedded?: boolean } = {},
): Promise<T> => {
  const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
  for (const warning of config.unknownSettings) logger.warn(warning);
  // A list of the daemon's database must not lead to a change of this one unnoticed.
  if (config.daemonUrl !== undefined) logger.warn('ORGTRAIL_URL is not asked: this command uses the database');
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

/** Built by main.ts, the only file that touches `process`, and by tests. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Source of some of `env`. */
  readonly settingsFile?: string | undefined;
  readonly namesOfFile?: readonly string[];
  /** For commands that speak a protocol. */
  readonly stdin?: Readable;
  /** `columns`: of a terminal. */
  readonly stdout: Writable & { readonly columns?: number };
  readonly stderr: Writable;
  /** stdout is a terminal: progress is redrawn, elsewhere plain lines. */
  readonly interactive: boolean;
  /** Aborts on the first SIGINT or SIGTERM; a second exits immediately. */
  readonly signal: AbortSignal;
  /** For a command that usually ends by Ctrl-C: its own exit code counts, and the short `leaveAtOnce` runs before a second signal exits. */
  readonly takeOverStop?: (leaveAtOnce: () => Promise<void>) => void;
  /** Without it SIGHUP ends the process, as when its terminal closes. */
  readonly onReloadAsked?: ((listener: () => void) => void) | undefined;
}

/** For programs as JSON, for people the text. */
export const print = (
  { stdout }: Pick<CliContext, 'stdout'>,
  { json }: { readonly json?: boolean },
  value: unknown,
  text: string,
): void => {
  stdout.write(json === true ? `${JSON.stringify(value, null, 2)}\n` : text);
};

/** `command`: such as `hold add`. `by`: as claimed; the trail always has the database account. `what`: without secrets. */
type What = Readonly<Record<string, unknown>>;
type DoneCommand = Readonly<{ kind: AccessKind; command: string; by?: string | undefined; what: What }>;

/** A row of `access_log` that cannot be written is a warning on stderr: what was done stays done. */
export const recordCommand = async (
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

const adviceOn: Partial<Readonly<Record<ApiFailure, string>>> = {
  unauthorized: 'the credential is wrong or expired: check CLOUDFLARE_API_TOKEN',
  bad_request: 'Cloudflare did not accept the request or the credential: check the token and ORGTRAIL_FILTERS',
  refused:
    'check that the token is right and has not expired; it must be a token of a user (not of an account) with "User Details Read"; ' +
    'or use CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY (the documented workaround), or name them in ORGTRAIL_ORGANIZATIONS',
};

export const apiAdvice = ({ failure, message }: ApiError): { hint: string; exitCode: number } => {
  const advice = adviceOn[failure];
  if (advice !== undefined) return { hint: advice, exitCode: exitCodes.usage };
  const isUntrusted = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(message);
  const hint = isUntrusted
    ? 'Node does not trust the certificate of this host: check CLOUDFLARE_BASE_URL and the clock of this host; behind a ' +
      'proxy that intercepts TLS, name the file of its certificate authority in NODE_EXTRA_CA_CERTS'
    : 'check CLOUDFLARE_BASE_URL, the network, and www.cloudflarestatus.com';
  return { hint, exitCode: exitCodes.unreachable };
};
