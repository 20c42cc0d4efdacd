import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { Logger } from 'pino';
import { apiObservers, requireCredential } from '../../app/cloudflare-access.ts';
import { openDatabase } from '../../app/open-database.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { secretsOf } from '../../config/redaction.ts';
import { ApiError, exitCodes, OrgtrailError } from '../../errors.ts';
import { connectAuditApi } from '../../ingest/cloudflare/audit-api.ts';
import type { RequestBudget } from '../../ingest/cloudflare/wire/request.ts';
import { createServerClock } from '../../ingest/cloudflare/wire/server-clock.ts';
import type { FoundOrganization } from '../../ingest/planning/source.ts';
import { startWalk } from '../../ingest/planning/walk.ts';
import { organization } from '../../ingest/sources/organization/organization.ts';
import { kindOf, type SourceKindName } from '../../ingest/sources/registry.ts';
import type { AuditApi } from '../../ingest/sync/ports.ts';
import { version } from '../../package/package-files.ts';
import { hasEmbeddedData } from '../../postgres/embedded-server.ts';
import { describeUrl, type Pool } from '../../postgres/pool.ts';
import { readSchemaState, refuseNewer, requireSupportedServer } from '../../postgres/schema/migrate.ts';
import { closeSchemas, describeOpen, readOpenSchemas } from '../../postgres/schema/roles.ts';
import { explainForbidden } from '../../postgres/sql-state.ts';
import { createLogger } from '../../telemetry/log.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { apiAdvice } from '../api-advice.ts';
import type { CliContext } from '../cli-context.ts';
import { counted } from '../output/counted.ts';
import { printable } from '../output/terminal-table.ts';

/** Organizations whose audit log is tried: enough to find a missing permission, few enough for the budget. */
const PROBED_ORGANIZATIONS = 10;
const SLOWEST_MS = 45_000;

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly message: string;
  readonly hint?: string | undefined;
  /** What is allowed but probably not meant. */
  readonly notes?: readonly string[];
  readonly exitCode: number;
}

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
      const logger = createLogger({
        ...config.log,
        level: 'silent',
        destination: context.stderr,
        secrets: secretsOf(config),
      });
      const signal = AbortSignal.any([context.signal, AbortSignal.timeout(SLOWEST_MS)]);
      const [database, api] = await Promise.all([checkDatabase(config, logger), checkApi(config, logger, signal)]);
      const configuration: Check = {
        name: 'configuration',
        ok: true,
        message: describe(config),
        ...(config.warnings.length > 0 && { notes: config.warnings }),
        exitCode: exitCodes.done,
      };
      const checks = [configuration, ...database, ...api];
      report(checks.find((check) => !check.ok)?.exitCode ?? exitCodes.done);
      if (options.json === true)
        context.stdout.write(`${JSON.stringify({ ok: checks.every((check) => check.ok), checks }, null, 2)}\n`);
      else for (const check of checks) context.stdout.write(line(check));
    });

const line = ({ ok, name, message, hint, notes = [] }: Check): string =>
  [
    `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(14)} ${message}\n`,
    ...(hint === undefined ? [] : [`      ${''.padEnd(14)} Try: ${hint}\n`]),
    ...notes.map((note) => `note  ${name.padEnd(14)} ${note}\n`),
  ].join('');

const describe = (config: Config): string => {
  const way = config.credential?.kind === 'token' ? 'API token' : 'email and Global API Key';
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
    return [{ name: 'database', ok: true, message, exitCode: exitCodes.done }];
  }
  try {
    const database = await openDatabase(config, logger);
    try {
      const server = `PostgreSQL ${await requireSupportedServer(database.pool)} at ${describeUrl(database.url)}`;
      const schema = await readSchemaState(database.pool);
      refuseNewer(schema);
      const state = {
        current: 'current',
        empty: 'empty: run, sync or migrate will create it',
        outdated: `${schema.known - schema.applied} migrations behind: run, sync or migrate will apply them`,
        newer: 'newer',
      }[schema.state];
      return [
        { name: 'database', ok: true, message: server, exitCode: exitCodes.done },
        { name: 'schema', ok: true, message: state, exitCode: exitCodes.done },
        ...(await checkSchemaRights(database.pool)),
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

/** No line unless there is something to say. */
const checkSchemaRights = async (pool: Pool): Promise<Check[]> => {
  const open = await readOpenSchemas(pool);
  if (open.length === 0) return [];
  const hint = `as the owner run \`${closeSchemas(open)}\``;
  return [{ name: 'rights', ok: false, message: describeOpen(open), hint, exitCode: exitCodes.usage }];
};

const checkApi = async (config: Config, logger: Logger, signal: AbortSignal): Promise<Check[]> => {
  const clock = createServerClock(() => performance.now());
  const { api, close } = connectAuditApi({
    baseUrl: config.baseUrl,
    credential: requireCredential(config),
    filtersOf: (source) => config.filters[kindOf(source).name],
    budget: impatientBudget(),
    clock,
    version,
    ...apiObservers(createMetrics(version), logger),
  });
  try {
    const { organizations, note } = await reachable(api, config, signal);
    const found = `${counted(organizations.length, 'organization')}${note}`;
    const listed: Check = { name: 'organizations', ok: true, message: found, exitCode: exitCodes.done };
    if (organizations.length === 0) {
      return [
        { ...listed, ok: false, message: 'no organization is visible', hint: emptyHint, exitCode: exitCodes.usage },
      ];
    }
    return [listed, await checkAuditLogs(api, organizations, signal)];
  } catch (error) {
    if (error instanceof ApiError)
      return [{ name: 'organizations', ok: false, message: error.message, ...apiAdvice(error) }];
    if (signal.aborted) {
      const message = `no answer within ${SLOWEST_MS / 1_000} s`;
      return [
        {
          name: 'organizations',
          ok: false,
          message,
          hint: 'check the network and CLOUDFLARE_BASE_URL',
          exitCode: exitCodes.unreachable,
        },
      ];
    }
    throw error;
  } finally {
    await close();
  }
};

const emptyHint =
  'the owner of the credential must be a member of an organization (Organizations are for Enterprise customers)';

const reachable = async (
  api: AuditApi,
  config: Config,
  signal: AbortSignal,
): Promise<{ organizations: readonly FoundOrganization[]; note: string }> => {
  const organizations: FoundOrganization[] = [];
  try {
    for await (const page of api.listOrganizations({ ids: config.organizationIds }, signal))
      organizations.push(...page);
    return {
      organizations,
      note: config.organizationIds === undefined ? '' : ` of ${config.organizationIds.length} configured`,
    };
  } catch (error) {
    const mayNotList = error instanceof ApiError && error.failure === 'refused';
    if (!mayNotList || config.organizationIds === undefined) throw error;
    return {
      organizations: config.organizationIds.map((id) => ({ id })),
      note: ' configured (the credential may not list them)',
    };
  }
};

const checkAuditLogs = async (
  api: AuditApi,
  organizations: readonly FoundOrganization[],
  signal: AbortSignal,
): Promise<Check> => {
  const probed = organizations.slice(0, PROBED_ORGANIZATIONS);
  const nowMs = api.nowMs() ?? 0;
  const refused: string[] = [];
  for (const { id, name } of probed) {
    try {
      await api.fetchPage(
        { kind: 'organization', id },
        startWalk('live', { fromMs: nowMs - 3_600_000, toMs: nowMs - 1_000 }, { readAtMs: nowMs, pageLimit: 1 }),
        signal,
      );
    } catch (error) {
      if (!(error instanceof ApiError) || error.failure !== 'refused') throw error;
      refused.push(name === undefined ? printable(id, 64) : `${printable(id, 64)} (${printable(name, 28)})`);
    }
  }
  const tried = probed.length < organizations.length ? `the first ${probed.length} tried` : `${probed.length} tried`;
  if (refused.length === 0)
    return { name: 'audit logs', ok: true, message: `readable (${tried})`, exitCode: exitCodes.done };
  return {
    name: 'audit logs',
    ok: false,
    message: `refused (403) for ${refused.length} of ${probed.length}: ${refused.join(', ')}`,
    hint: `the owner of the token must be ${organization.permission}; a documented workaround is CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY`,
    exitCode: exitCodes.sourceFailed,
  };
};

/** The database may be what is broken, and the few requests of a check need no accounting: a block is not waited for. */
const impatientBudget = (): RequestBudget => {
  let blockedMs = 0;
  return {
    acquire: async (signal) => {
      if (blockedMs > 5_000) {
        throw new ApiError(
          'throttled',
          `Cloudflare blocks this user's requests for another ${Math.round(blockedMs / 1_000)} s (429)`,
        );
      }
      await sleep(blockedMs, undefined, { signal });
      blockedMs = 0;
    },
    pause: async (durationMs) => {
      blockedMs = Math.max(blockedMs, durationMs);
    },
  };
};
