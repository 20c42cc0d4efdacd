import type { Config } from '../../config/config.ts';
import { ApiError, exitCodes } from '../../errors.ts';
import { isBroken, isRefusal } from '../../ingest/cloudflare/credentials/choice.ts';
import type { FoundAccount, FoundOrganization } from '../../ingest/planning/source.ts';
import { account } from '../../ingest/sources/account/account.ts';
import type { AccountsPage, AuditApi } from '../../ingest/sync/ports.ts';
import { counted } from '../output/counted.ts';
import { printable } from '../output/terminal-table.ts';
import { type Check, probeLogs } from './probe-logs.ts';

/** Organizations whose accounts are listed here; the daemon lists those of all. */
const MAX_LISTED = 10;

const permissionHint = `the credential needs "${account.permission}" on the accounts`;
const emptyHint = 'the token needs a permission on at least one account; or name accounts in ORGTRAIL_ACCOUNTS';

interface Asked {
  readonly organizations: readonly FoundOrganization[];
  /** Of the credentials that list accounts. */
  readonly names: readonly string[];
  readonly signal: AbortSignal;
}

/** What of accounts may be listed and read. Throws ApiError for anything but a refusal. Nothing if their logs are not read. */
export const checkAccounts = async (api: AuditApi, config: Config, asked: Asked): Promise<readonly Check[]> => {
  if (!config.sources.includes('account')) return [];
  const { accounts, message, notes, refused } = await findAccounts(api, config, asked);
  const found: Check = { name: 'accounts', ok: true, message, notes, exitCode: exitCodes.done };
  if (accounts.length === 0) {
    const none = { ...found, message: 'no account is visible' };
    // Organizations are read, and an installation may have no accounts.
    const isAll = !config.sources.includes('organization') || asked.organizations.length === 0;
    if (refused) {
      const hint = `${permissionHint}; ORGTRAIL_SOURCES=organizations reads no accounts`;
      const exitCode = isAll ? exitCodes.usage : exitCodes.sourceFailed;
      return [{ ...none, message: 'no credential may list accounts', ok: false, hint, exitCode }];
    }
    return [
      isAll
        ? { ...none, ok: false, hint: emptyHint, exitCode: exitCodes.usage }
        : { ...none, notes: [...notes, emptyHint] },
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

interface FoundAccounts {
  readonly accounts: readonly FoundAccount[];
  readonly message: string;
  readonly notes: readonly string[];
  /** All listings are refused. */
  readonly refused: boolean;
}

const findAccounts = async (
  api: AuditApi,
  config: Config,
  { organizations, names, signal }: Asked,
): Promise<FoundAccounts> => {
  if (typeof config.accounts !== 'string') {
    const accounts = config.accounts.map((id) => ({ id }));
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

/** Refused only if each of them is. */
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

/** Adds what a listing names. */
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
