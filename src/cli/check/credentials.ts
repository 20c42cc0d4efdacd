import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../app/config/config.ts';
import { ApiError, exitCodes } from '../../base/errors.ts';
import { counted, printable } from '../../base/text.ts';
import { type AuditApiOptions, connectAuditApi } from '../../ingest/cloudflare/audit-api.ts';
import { createApiByCredential } from '../../ingest/cloudflare/by-credential.ts';
import { createListed, type StoredFacts } from '../../ingest/cloudflare/credential-access.sql.ts';
import {
  createRefusals,
  isAllowed,
  isBroken,
  isRefusal,
  type NamedCredential,
  sourceOfCredential,
} from '../../ingest/cloudflare/credentials.ts';
import { createPrincipal, type Principal, sharesBudgetOf } from '../../ingest/cloudflare/principal.ts';
import type { RequestBudget } from '../../ingest/cloudflare/wire/request.ts';
import type { SourceKey } from '../../ingest/planning/source.ts';
import { startWalk } from '../../ingest/planning/walk.ts';
import { kindOf, type SourceKindName } from '../../ingest/sources/registry.ts';
import type { AuditApi } from '../../ingest/sync/ports.ts';
import { REFUSED_CREDENTIAL } from '../../status/causes.ts';
import { apiAdvice } from '../command.ts';

/** Unknown secret; also answered for a resource that is not the caller's. */
const INVALID_TOKEN = 9_109;

/** Listings, principal and budget of several credentials; the other lines are about a single one. Throws ApiError unless refused. */
export const checkCredentials = async (
  credentials: readonly OpenedCredential[],
  config: Config,
  signal: AbortSignal,
): Promise<readonly Check[]> => {
  if (credentials.length < 2) return [];
  const found: (readonly [OpenedCredential, Found])[] = [];
  for (const credential of credentials) found.push([credential, await listWith(credential, config, signal)]);
  return found.map(([credential, { message, hint }]): Check => {
    const { name } = credential;
    const said = `${principalOf(credential)}, ${budgetOf(credential, credentials)} requests per 5 minutes; ${message}`;
    const ok = hint === undefined;
    const exitCode = ok ? exitCodes.done : exitCodes.sourceFailed;
    const notes = sameUser(credential, credentials);
    return { name: `credential ${name}`, ok, message: said, notes, exitCode, ...(!ok && { hint }) };
  });
};

/** Principal and budget of a single credential. */
export const describeBudget = (credential: OpenedCredential): Check =>
  passed('budget', `${principalOf(credential)}, ${credential.budget} requests per 5 minutes`);

const principalOf = ({ principal }: OpenedCredential): string =>
  principal.current()?.replace(':', ' ') ?? (principal.isUnsure() ? 'a user that is not known' : 'counted by itself');

const withBudgetOf = (credential: OpenedCredential, all: readonly OpenedCredential[]): readonly OpenedCredential[] =>
  all.filter((other) => sharesBudgetOf(credential.principal, other.principal));

const budgetOf = (credential: OpenedCredential, all: readonly OpenedCredential[]): number =>
  Math.min(...withBudgetOf(credential, all).map(({ budget }) => budget));

const sameUser = (credential: OpenedCredential, all: readonly OpenedCredential[]): readonly string[] => {
  const others = withBudgetOf(credential, all).filter((other) => other !== credential);
  if (others.length === 0) return [];
  const names = others.map(({ name }) => name).join(', ');
  return credential.principal.isUnsure()
    ? [`${names}: perhaps of the same user, and so of one budget; with "User Details Read" its user is known`]
    : [`${names}: of the same user, and so of one budget, the smallest`];
};

/** `hint`: set if it is of no use. */
type Found = Readonly<{ message: string; hint?: string }>;

const listWith = async (credential: OpenedCredential, config: Config, signal: AbortSignal): Promise<Found> => {
  const { api, accounts, organizations } = credential;
  const errors: ApiError[] = [];
  const said: string[] = [];
  const count = async (owner: 'organization' | 'account', pages: AsyncIterable<readonly { readonly id: string }[]>) => {
    const ids = new Set<string>();
    try {
      for await (const page of pages)
        for (const { id } of page) if (isAllowed(credential, { kind: owner, id })) ids.add(id);
      said.push(counted(ids.size, owner));
    } catch (error) {
      if (!(error instanceof ApiError) || !(isRefusal(error) || isBroken(error))) throw error;
      errors.push(error);
      said.push(`may not list ${owner}s (${error.status ?? error.failure})`);
    }
  };
  if (organizations !== false) await count('organization', api.listOrganizations({}, signal));
  if (accounts !== false && config.sources.includes('account')) await count('account', accountsOf(api, signal));
  const message = said.join(', ') || 'used for nothing that is read';
  if (errors.length === 0 || errors.length < said.length) return { message };
  return { message, hint: errors.some(isOfSecret) ? REFUSED_CREDENTIAL : permissionHint };
};

async function* accountsOf({ listAccounts }: OpenedCredential['api'], signal: AbortSignal) {
  for await (const { accounts } of listAccounts(signal)) yield accounts;
}

const isOfSecret = (error: ApiError): boolean => isBroken(error) || error.apiCodes.includes(INVALID_TOKEN);

const permissionHint =
  'to list organizations takes a token of a user with "User Details Read"; to list accounts, a permission on one of them';

interface OpenedCredential extends NamedCredential {
  readonly api: AuditApi;
  readonly principal: Principal;
}

/** `api` reads each source with the best credential, as the daemon does. */
export interface OpenedCredentials {
  readonly each: readonly OpenedCredential[];
  readonly api: AuditApi;
  close(): Promise<void>;
}

type Connection = Omit<AuditApiOptions, 'credential' | 'budget' | 'principal'>;

export const openCredentials = (credentials: readonly NamedCredential[], connection: Connection): OpenedCredentials => {
  const nowMs = () => performance.now();
  const opened = credentials.map((named) => {
    const source = sourceOfCredential(named.credential);
    const principal = createPrincipal(source, nowMs);
    const { api, close } = connectAuditApi({ ...connection, credential: source, principal, budget: impatientBudget() });
    return { ...named, source, principal, api, close };
  });
  return {
    each: opened,
    api: createApiByCredential({
      current: () =>
        opened.map((one) => ({
          ...one,
          key: one.name,
          countedFor: one.name,
          isUser: !one.principal.isItself(),
          isUsedUp: () => false,
        })),
      facts: factsOfListings(),
      refusals: createRefusals(nowMs),
      onListingFailed: () => {},
    }),
    close: async () => {
      await Promise.all(opened.map(({ close }) => close()));
    },
  };
};

/** Only what listings showed here: the database may be broken. */
const factsOfListings = (): StoredFacts => {
  const shown = { account: createListed(), organization: createListed() };
  const listersOf = (source: SourceKey) => shown[kindOf(source).owner].listers(source.id);
  return {
    refresh: async () => {},
    hasRead: async () => {},
    reader: () => undefined,
    reads: () => 0,
    readsOrganizations: () => false,
    lists: (name, source) => listersOf(source).has(name),
    listers: listersOf,
    onlyAccount: (name) => shown.account.only(name),
    hasListed: (name, owner, found) => {
      for (const { id } of found) shown[owner].add(name, id);
    },
  };
};

/** Does not wait out a block: the database may be broken, and a check's few requests need no accounting. */
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

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Allowed but probably not meant. */
  readonly notes?: readonly string[] | undefined;
  readonly exitCode: number;
  /** Logs that were tried, and how many of them refused. */
  readonly tried?: number;
  readonly refused?: number;
}

export const passed = (name: string, message: string, notes?: readonly string[]): Check => ({
  name,
  ok: true,
  message,
  notes,
  exitCode: exitCodes.done,
});

/** Enough to find a missing permission, few enough for the budget. */
const MAX_PROBED = 10;
/** Failures other than refusals that settle the answer; each may take all attempts of a request. */
const MAX_FAILED = 2;
type Probed = Readonly<{ id: string; name?: string | undefined }>;

/**
 * Asks for a page of the first logs of a kind. Counts refused and missing logs (403, 404); other failures are told beside them, or
 * thrown as ApiError if every log fails so. `hint`: for refusals.
 */
export const probeLogs = async (
  api: AuditApi,
  kind: SourceKindName,
  owners: readonly Probed[],
  { name, hint, signal }: { readonly name: string; readonly hint: string; readonly signal: AbortSignal },
): Promise<Check> => {
  const probed = owners.slice(0, MAX_PROBED);
  const nowMs = api.nowMs() ?? 0;
  const walk = startWalk('live', { fromMs: nowMs - 3_600_000, toMs: nowMs - 1_000 }, { readAtMs: nowMs, pageLimit: 1 });
  const refused: string[] = [];
  const statuses = new Set<number>();
  const failed: ApiError[] = [];
  let asked = 0;
  for (const owner of probed) {
    if (failed.length === MAX_FAILED) break;
    asked += 1;
    try {
      await api.fetchPage({ kind, id: owner.id }, walk, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || signal.aborted) throw error;
      if (error.failure === 'refused' || error.failure === 'not_found') {
        refused.push(nameOf(owner));
        statuses.add(error.failure === 'refused' ? 403 : 404);
      } else failed.push(error);
    }
  }
  const [failure] = failed;
  if (failure !== undefined && failed.length === asked) throw failure;
  const tried = probed.length < owners.length ? `the first ${probed.length} tried` : `${probed.length} tried`;
  const counts = { tried: asked, refused: refused.length };
  if (failure !== undefined) {
    const message = `failed for ${failed.length} of ${asked}, refused for ${refused.length}: ${failure.message}`;
    return { name, ok: false, message, hint: apiAdvice(failure).hint, exitCode: exitCodes.sourceFailed, ...counts };
  }
  if (refused.length === 0) return { ...passed(name, `readable (${tried})`), ...counts };
  const message = `refused (${[...statuses].sort().join(', ')}) for ${refused.length} of ${probed.length}: ${refused.join(', ')}`;
  return { name, ok: false, message, hint, exitCode: exitCodes.sourceFailed, ...counts };
};

const nameOf = ({ id, name }: Probed): string =>
  name === undefined ? printable(id, 64) : `${printable(id, 64)} (${printable(name, 28)})`;
