import type { Logger } from 'pino';
import { apiObservers } from '../../app/cloudflare-access.ts';
import type { Config } from '../../config/config.ts';
import { ApiError, exitCodes } from '../../errors.ts';
import { createServerClock } from '../../ingest/cloudflare/wire/server-clock.ts';
import type { FoundOrganization } from '../../ingest/planning/source.ts';
import { organization } from '../../ingest/sources/organization/organization.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { AuditApi } from '../../ingest/sync/ports.ts';
import { version } from '../../package/package-files.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { apiAdvice } from '../api-advice.ts';
import { counted } from '../output/counted.ts';
import { checkAccounts } from './check-accounts.ts';
import { checkCredentials, describeBudget } from './check-credentials.ts';
import { type OpenedCredentials, openCredentials } from './open-credentials.ts';
import { type Check, probeLogs } from './probe-logs.ts';

/** How long all of it may take, in milliseconds. */
export const SLOWEST_MS = 45_000;

/** What the credentials may list and read, together and each by itself. */
export const checkApi = async (config: Config, logger: Logger, signal: AbortSignal): Promise<readonly Check[]> => {
  const clock = createServerClock(() => performance.now());
  const opened = openCredentials(config.credentials, {
    baseUrl: config.baseUrl,
    filtersOf: (source) => config.filters[kindOf(source).name],
    clock,
    version,
    ...apiObservers(createMetrics(version), logger),
  });
  try {
    return withoutAnything(await checkAll(opened, config, signal));
  } catch (error) {
    if (error instanceof ApiError) return [failedWith(error, config)];
    if (signal.aborted) return [tooSlow];
    throw error;
  } finally {
    await opened.close();
  }
};

const checkAll = async ({ each, api }: OpenedCredentials, config: Config, signal: AbortSignal): Promise<Check[]> => {
  const credentials = await checkCredentials(each, config, signal);
  const [first] = each;
  const budget = each.length === 1 && first !== undefined ? () => [describeBudget(first)] : () => [];
  const logs = await checkLogs({ each, api }, config, signal).catch((error: unknown) => {
    if (credentials.length === 0 || !(error instanceof ApiError)) throw error;
    return [failedWith(error, config)];
  });
  return [...credentials, ...logs, ...budget()];
};

const checkLogs = async (
  { each, api }: Pick<OpenedCredentials, 'each' | 'api'>,
  config: Config,
  signal: AbortSignal,
): Promise<readonly Check[]> => {
  const { organizations, note } = await reachable(api, config, signal);
  const found = `${counted(organizations.length, 'organization')}${note}`;
  const listed: Check = { name: 'organizations', ok: true, message: found, exitCode: exitCodes.done };
  const accounts = () => checkAccounts(api, config, { organizations, names: namesFor(each), signal });
  if (!config.sources.includes('organization')) return [listed, ...(await accounts())];
  if (organizations.length === 0) {
    const none = { ...listed, message: 'no organization is visible' };
    const checked = await accounts();
    // Accounts that can be read are read: nothing is wrong if they are all that is wanted.
    if (checked.some(({ tried, refused }) => tried !== undefined && tried !== refused))
      return [{ ...none, notes: [`${emptyHint}; ORGTRAIL_SOURCES=accounts reads accounts alone`] }, ...checked];
    return [{ ...none, ok: false, hint: emptyHint, exitCode: exitCodes.usage }, ...checked];
  }
  const logs = await probeLogs(api, 'organization', organizations, { name: 'audit logs', hint: logsHint, signal });
  return [listed, logs, ...(await accounts())];
};

/** Of those that list accounts. */
const namesFor = (each: OpenedCredentials['each']): readonly string[] =>
  each.flatMap(({ name, accounts }) => (accounts === false ? [] : [name]));

const failedWith = (error: ApiError, { credentials, accounts }: Config): Check => {
  const { hint, exitCode } = apiAdvice(error);
  const isAccounts = credentials.some(
    ({ credential }) => credential.kind === 'token' && credential.token.startsWith(ACCOUNT_TOKEN_PREFIX),
  );
  const special = isAccounts ? accountTokenHint : typeof accounts === 'string' ? undefined : namedAccountsHint;
  const more = special !== undefined && error.failure === 'refused' ? `${special}; else ` : '';
  return { name: 'organizations', ok: false, message: error.message, hint: `${more}${hint}`, exitCode };
};

const ACCOUNT_TOKEN_PREFIX = 'cfat_';
const namedAccountsHint = 'ORGTRAIL_SOURCES=accounts reads the accounts of ORGTRAIL_ACCOUNTS alone';
const accountTokenHint =
  'the token of an account reads the log of that account alone: set ORGTRAIL_SOURCES=accounts, or add the token of a user';

const tooSlow: Check = {
  name: 'organizations',
  ok: false,
  message: `no answer within ${SLOWEST_MS / 1_000} s`,
  hint: 'check the network and CLOUDFLARE_BASE_URL',
  exitCode: exitCodes.unreachable,
};

/** If all logs that were tried refuse, nothing can be read. */
const withoutAnything = (checks: readonly Check[]): readonly Check[] => {
  const logs = checks.filter(({ tried }) => tried !== undefined);
  if (logs.length === 0 || logs.some(({ tried, refused }) => tried !== refused)) return checks;
  return checks.map((check) => (check.ok ? check : { ...check, exitCode: exitCodes.usage }));
};

const logsHint = `the owner of the token must be ${organization.permission}; a documented workaround is CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY`;
const emptyHint =
  'the owner of the credential must be a member of an organization (Organizations are for Enterprise customers)';

const reachable = async (
  api: AuditApi,
  config: Config,
  signal: AbortSignal,
): Promise<{ organizations: readonly FoundOrganization[]; note: string }> => {
  // Each credential that may list an organization shows it.
  const organizations = new Map<string, FoundOrganization>();
  try {
    for await (const page of api.listOrganizations({ ids: config.organizationIds }, signal))
      for (const found of page) if (!organizations.has(found.id)) organizations.set(found.id, found);
    return {
      organizations: [...organizations.values()],
      note: config.organizationIds === undefined ? '' : ` of ${config.organizationIds.length} configured`,
    };
  } catch (error) {
    const mayNotList = error instanceof ApiError && error.failure === 'refused';
    // A token of an account may not list organizations, and reads that account.
    if (mayNotList && !config.sources.includes('organization')) {
      return { organizations: [], note: ' (the credential may not list them)' };
    }
    if (!mayNotList || config.organizationIds === undefined) throw error;
    return {
      organizations: config.organizationIds.map((id) => ({ id })),
      note: ' configured (the credential may not list them)',
    };
  }
};
