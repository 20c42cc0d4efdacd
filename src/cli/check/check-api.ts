import type { Logger } from 'pino';
import { apiObservers } from '../../app/cloudflare-access.ts';
import type { Config } from '../../app/config/config.ts';
import { createMetrics } from '../../app/telemetry/metrics.ts';
import { ApiError, exitCodes } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { counted, printable } from '../../base/text.ts';
import { isBroken, isRefusal } from '../../ingest/cloudflare/credentials.ts';
import { createServerClock } from '../../ingest/cloudflare/wire/request.ts';
import type { FoundAccount, FoundOrganization } from '../../ingest/planning/source.ts';
import { account, kindOf, organization } from '../../ingest/sources/registry.ts';
import type { AccountsPage, AuditApi } from '../../ingest/sync/ports.ts';
import { apiAdvice } from '../command.ts';
import {
  type Check,
  checkCredentials,
  describeBudget,
  type OpenedCredentials,
  openCredentials,
  passed,
  probeLogs,
} from './credentials.ts';

export const SLOWEST_MS = 45_000;

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
  const listed = passed('organizations', found);
  const accounts = () => checkAccounts(api, config, { organizations, names: namesFor(each), signal });
  if (!config.sources.includes('organization')) return [listed, ...(await accounts())];
  if (organizations.length === 0) {
    const none = { ...listed, message: 'no organization is visible' };
    const checked = await accounts();
    // Readable accounts suffice if they are all that is wanted.
    if (checked.some(({ tried, refused }) => tried !== undefined && tried !== refused))
      return [
        { ...none, notes: [`${noOrganizationHint}; ORGTRAIL_SOURCES=accounts reads accounts alone`] },
        ...checked,
      ];
    return [{ ...none, ok: false, hint: noOrganizationHint, exitCode: exitCodes.usage }, ...checked];
  }
  const logs = await probeLogs(api, 'organization', organizations, { name: 'audit logs', hint: logsHint, signal });
  return [listed, logs, ...(await accounts())];
};

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

const withoutAnything = (checks: readonly Check[]): readonly Check[] => {
  const logs = checks.filter(({ tried }) => tried !== undefined);
  if (logs.length === 0 || logs.some(({ tried, refused }) => tried !== refused)) return checks;
  return checks.map((check) => (check.ok ? check : { ...check, exitCode: exitCodes.usage }));
};

const logsHint = `the owner of the token must be ${organization.permission}; a documented workaround is CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY`;
const noOrganizationHint =
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
    // An account's token may not list organizations, and reads its account.
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

/** The daemon lists the accounts of all organizations. */
const MAX_LISTED = 10;
const permissionHint = `the credential needs "${account.permission}" on the accounts`;
const noAccountHint = 'the token needs a permission on at least one account; or name accounts in ORGTRAIL_ACCOUNTS';
type Asked = Readonly<{ organizations: readonly FoundOrganization[]; names: readonly string[]; signal: AbortSignal }>;

/** Empty if logs of accounts are not read. Throws ApiError for anything but a refusal. */
const checkAccounts = async (api: AuditApi, config: Config, asked: Asked): Promise<readonly Check[]> => {
  if (!config.sources.includes('account')) return [];
  const { accounts, message, notes, refused } = await findAccounts(api, config, asked);
  const found = passed('accounts', message, notes);
  if (accounts.length === 0) {
    const none = { ...found, message: 'no account is visible' };
    // Organizations are read; there may be no accounts.
    const isAll = !config.sources.includes('organization') || asked.organizations.length === 0;
    if (refused) {
      const hint = `${permissionHint}; ORGTRAIL_SOURCES=organizations reads no accounts`;
      const exitCode = isAll ? exitCodes.usage : exitCodes.sourceFailed;
      return [{ ...none, message: 'no credential may list accounts', ok: false, hint, exitCode }];
    }
    return [
      isAll
        ? { ...none, ok: false, hint: noAccountHint, exitCode: exitCodes.usage }
        : { ...none, notes: [...notes, noAccountHint] },
    ];
  }
  const off = accounts.filter(({ settings }) => isApiOff(settings)).map(({ id }) => printable(id, 64));
  const hint =
    `the token needs "${account.permission}" on these accounts ("Access: Audit Logs Read" is another product's permission)` +
    (off.length === 0 ? '' : `; the settings of these accounts turn the API off: ${off.slice(0, 3).join(', ')}`);
  return [found, await probeLogs(api, 'account', accounts, { name: 'account logs', hint, signal: asked.signal })];
};

const isApiOff = (settings: unknown): boolean =>
  typeof settings === 'object' &&
  settings !== null &&
  'api_access_enabled' in settings &&
  settings.api_access_enabled === false;

const findAccounts = async (api: AuditApi, config: Config, { organizations, names, signal }: Asked) => {
  if (typeof config.accounts !== 'string') {
    const accounts: readonly FoundAccount[] = config.accounts.map((id) => ({ id }));
    return { accounts, message: `${counted(accounts.length, 'account')} configured`, notes: [], refused: false };
  }
  const found = new Map<string, FoundAccount>();
  const notes: string[] = [];
  const byCredential =
    config.accounts === 'all' && config.organizationIds === undefined
      ? await collectWithEach(api, names, found, signal)
      : undefined;
  const listed = organizations.slice(0, MAX_LISTED);
  let refused = 0;
  for (const { id } of listed) {
    if ((await collect(api.listAccountsOf(id, signal), found)) === 'refused') refused += 1;
  }
  if (byCredential === 'refused') {
    const rest = refused < listed.length ? ': accounts of organizations alone are read' : '';
    notes.push(`GET /accounts is refused (403)${rest}`);
  }
  if (refused > 0) {
    notes.push(
      `the accounts of ${refused} of ${counted(listed.length, 'organization')} may not be listed (403; documented for email and Global API ` +
        'Key only): accounts that only an organization shows are missing, unless ORGTRAIL_ACCOUNTS names them',
    );
  }
  const some = listed.length < organizations.length ? `the first ${listed.length} organizations` : 'organizations';
  const ways = byCredential === undefined ? `of ${some}` : `of ${some} and by GET /accounts`;
  return {
    accounts: [...found.values()],
    message: `${counted(found.size, 'account')} ${ways}`,
    notes,
    refused: byCredential !== 'listed' && refused === listed.length && (byCredential === 'refused' || refused > 0),
  };
};

/** Refused only if all are. */
const collectWithEach = async (
  api: AuditApi,
  names: readonly string[],
  found: Map<string, FoundAccount>,
  signal: AbortSignal,
): Promise<'listed' | 'refused'> => {
  let outcome: 'listed' | 'refused' = 'refused';
  for (const name of names) {
    if ((await collect(api.listAccounts(signal, name), found)) === 'listed') outcome = 'listed';
  }
  return outcome;
};

const collect = async (
  pages: AsyncIterable<AccountsPage>,
  found: Map<string, FoundAccount>,
): Promise<'listed' | 'refused'> => {
  try {
    for await (const { accounts } of pages) for (const each of accounts) found.set(each.id, each);
    return 'listed';
  } catch (error) {
    if (error instanceof ApiError && (isRefusal(error) || isBroken(error))) return 'refused';
    throw error;
  }
};
