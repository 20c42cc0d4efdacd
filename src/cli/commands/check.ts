import { Command } from 'commander';
import type { Logger } from 'pino';
import { type Config, loadConfig, secretsOf } from '../../app/config/config.ts';
import { openDatabase } from '../../app/open-database.ts';
import { createLogger } from '../../app/telemetry/log.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { openGeoip } from '../../base/geoip.ts';
import type { SourceKindName } from '../../ingest/sources/registry.ts';
import { hasEmbeddedData } from '../../postgres/embedded-server.ts';
import { describeUrl, type Pool } from '../../postgres/pool.ts';
import {
  type LockRoom,
  readLockRoom,
  readSchemaState,
  refuseForeign,
  requireSupportedServer,
} from '../../postgres/schema/migrate.ts';
import { closeSchemas, describeOpen, readOpenSchemas } from '../../postgres/schema/roles.ts';
import { explainForbidden } from '../../postgres/sql-state.ts';
import { tryWriting } from '../../status/causes.sql.ts';
import { checkApi, SLOWEST_MS } from '../check/check-api.ts';
import { type Check, passed } from '../check/credentials.ts';
import { type CliContext, print } from '../command.ts';

const help = `
Checks everything and suggests a fix for each problem; changes nothing. The exit code is that of the first problem.

Examples:
  $ CLOUDFLARE_API_TOKEN=... DATABASE_URL=postgres://... orgtrail check
  $ orgtrail check --json`;

export const checkCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('check')
    .description('Check credential, API access, database and schema')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (options: { json?: boolean }) => {
      const config = loadConfig(context.env, { needsCredential: true, interactive: context.interactive });
      const secrets = secretsOf(config);
      const logger = createLogger({ ...config.log, level: 'silent', destination: context.stderr, secrets });
      const signal = AbortSignal.any([context.signal, AbortSignal.timeout(SLOWEST_MS)]);
      const [database, api] = await Promise.all([checkDatabase(config, logger), checkApi(config, logger, signal)]);
      const { warnings } = config;
      const configuration = passed('configuration', describe(config), warnings.length > 0 ? warnings : undefined);
      const checks = [configuration, ...(await checkGeoip(config)), ...database, ...api];
      report(checks.find((check) => !check.ok)?.exitCode ?? exitCodes.done);
      print(context, options, { ok: checks.every((check) => check.ok), checks }, checks.map(line).join(''));
    });

const line = ({ ok, name, message, hint, notes = [] }: Check): string =>
  [
    `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(14)} ${message}\n`,
    ...(hint === undefined ? [] : [`      ${''.padEnd(14)} Try: ${hint}\n`]),
    ...notes.map((note) => `note  ${name.padEnd(14)} ${note}\n`),
  ].join('');

const describe = (config: Config): string => {
  const [first] = config.credentials;
  const one = first?.credential.kind === 'token' ? 'API token' : 'email and Global API Key';
  const way = config.credentials.length > 1 ? `${config.credentials.length} credentials` : one;
  return `${config.baseUrl} with ${way}; ${describeFilters(config)}; ${config.apiBudget} requests per 5 minutes`;
};

const describeFilters = ({ sources, filters }: Config): string => {
  const of = (kind: SourceKindName) => filters[kind].map(([name, value]) => `${name}=${value}`).join('&');
  const texts = new Set(sources.map(of));
  if (texts.size === 1) return [...texts][0] || 'no filters';
  return sources.map((kind) => `${kind} logs: ${of(kind) || 'no filters'}`).join('; ');
};

const checkDatabase = async (config: Config, logger: Logger): Promise<Check[]> => {
  if (config.databaseUrl === undefined && !hasEmbeddedData(config.dataDir)) {
    const message = `an embedded PostgreSQL, which the first run will create in ${config.dataDir} (set DATABASE_URL for one of yours)`;
    return [passed('database', message)];
  }
  try {
    const database = await openDatabase(config, logger);
    try {
      const server = `PostgreSQL ${await requireSupportedServer(database.pool)} at ${describeUrl(database.url)}`;
      const schema = await readSchemaState(database.pool);
      refuseForeign(schema);
      const state = {
        current: 'current',
        empty: 'empty: run, sync or migrate will create it',
        outdated: `${schema.known - schema.applied} migrations behind: run, sync or migrate will apply them`,
        'too old': 'too old',
        newer: 'newer',
      }[schema.state];
      return [
        passed('database', server, lockNotes(await readLockRoom(database.pool))),
        passed('schema', state),
        ...(await checkSchemaRights(database.pool)),
        ...(await checkWriting(database.pool)),
      ];
    } finally {
      await database.close();
    }
  } catch (thrown) {
    const error = explainForbidden(thrown) ?? thrown;
    if (!(error instanceof OrgtrailError)) throw thrown;
    const name = error.code === 'database_too_new' ? 'schema' : 'database';
    return [{ name, ok: false, message: error.message, hint: error.hint, exitCode: error.exitCode }];
  }
};

/** Searches, exports and readers of the views at once. */
const WHOLE_HISTORY_STATEMENTS = 10;

/** A statement locks every month and index. PostgreSQL makes room for two holders of each counted lock. */
export const lockNotes = ({ months, relations, perTransaction, connections }: LockRoom): readonly string[] => {
  const needed = (WHOLE_HISTORY_STATEMENTS * relations) / 2 / connections;
  if (needed <= perTransaction) return [];
  const enough = 2 ** Math.ceil(Math.log2(needed));
  return [
    `max_locks_per_transaction (${perTransaction}) is too small for ${months} months, ${relations} tables and indexes, if ${WHOLE_HISTORY_STATEMENTS} statements look at all of them at once: set it to ${enough}`,
  ];
};

const checkGeoip = async ({ geoip: paths }: Config): Promise<Check[]> => {
  if (paths.length === 0) return [];
  const geoip = openGeoip(paths);
  const fault = await geoip.refresh().then(
    () => undefined,
    (error: unknown) => error as OrgtrailError,
  );
  if (fault === undefined) return [passed('geoip', geoip.files() ?? '')];
  return [{ name: 'geoip', ok: false, message: fault.message, hint: fault.hint, exitCode: exitCodes.usage }];
};

const checkWriting = async (pool: Pool): Promise<Check[]> => {
  const found = await tryWriting(pool);
  if (found === undefined) return [];
  return [{ name: 'writing', ok: false, message: found.what, hint: found.action, exitCode: exitCodes.unreachable }];
};

const checkSchemaRights = async (pool: Pool): Promise<Check[]> => {
  const open = await readOpenSchemas(pool);
  if (open.length === 0) return [];
  const hint = `as the owner run \`${closeSchemas(open)}\``;
  return [{ name: 'rights', ok: false, message: describeOpen(open), hint, exitCode: exitCodes.usage }];
};
