import type { Config } from '../../config/config.ts';
import { ApiError, exitCodes } from '../../errors.ts';
import { isBroken, isRefusal, mayUse } from '../../ingest/cloudflare/credentials/choice.ts';
import { sharesBudgetOf } from '../../ingest/cloudflare/principal.ts';
import { counted } from '../output/counted.ts';
import type { OpenedCredential } from './open-credentials.ts';
import type { Check } from './probe-logs.ts';

/** Cloudflare does not know the secret; also said of a single resource that is not the caller's. */
const INVALID_TOKEN = 9_109;
const secretHint = 'the credential itself is not taken: check its secret, and that it has not expired or been revoked';

/**
 * What each of several credentials may list, whom it is counted for, and with which budget. Nothing for a single one: the other lines are about
 * it. Throws ApiError for anything but a refusal.
 */
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
    const check: Check = {
      name: `credential ${name}`,
      ok,
      message: said,
      notes: sameUser(credential, credentials),
      exitCode,
    };
    return ok ? check : { ...check, hint };
  });
};

/** Whom a single credential is counted for, and with which budget; nothing if Cloudflare has not been reached. */
export const describeBudget = (credential: OpenedCredential): Check => ({
  name: 'budget',
  ok: true,
  message: `${principalOf(credential)}, ${credential.budget} requests per 5 minutes`,
  exitCode: exitCodes.done,
});

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

interface Found {
  readonly message: string;
  /** If it is of no use. */
  readonly hint?: string;
}

const listWith = async (credential: OpenedCredential, config: Config, signal: AbortSignal): Promise<Found> => {
  const { api, accounts, organizations } = credential;
  const errors: ApiError[] = [];
  const said: string[] = [];
  const count = async (owner: 'organization' | 'account', pages: AsyncIterable<readonly { readonly id: string }[]>) => {
    const ids = new Set<string>();
    try {
      for await (const page of pages)
        for (const { id } of page) if (mayUse(credential, { kind: owner, id })) ids.add(id);
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
  return { message, hint: errors.some(isOfSecret) ? secretHint : permissionHint };
};

async function* accountsOf({ listAccounts }: OpenedCredential['api'], signal: AbortSignal) {
  for await (const { accounts } of listAccounts(signal)) yield accounts;
}

const isOfSecret = (error: ApiError): boolean => isBroken(error) || error.apiCodes.includes(INVALID_TOKEN);

const permissionHint =
  'to list organizations takes a token of a user with "User Details Read"; to list accounts, a permission on one of them';
