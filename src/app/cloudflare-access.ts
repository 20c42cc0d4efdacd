import type { Logger } from 'pino';
import { OrgtrailError } from '../base/errors.ts';
import {
  createApiBudget,
  createScrubBudget,
  credentialFingerprint,
  UNNAMED_USERS,
} from '../ingest/cloudflare/api-budget.sql.ts';
import { type AuditApiOptions, connectAuditApi } from '../ingest/cloudflare/audit-api.ts';
import {
  type CredentialAccess,
  createApiByCredential,
  createSourceBudgets,
} from '../ingest/cloudflare/by-credential.ts';
import { createStoredFacts } from '../ingest/cloudflare/credential-access.sql.ts';
import {
  type Credential,
  type CredentialSource,
  createRefusals,
  type LiveCredential,
} from '../ingest/cloudflare/credentials.ts';
import { createProcessLimit, type ProcessLimit, withProcessLimit } from '../ingest/cloudflare/permits.ts';
import { createPrincipal, type Principal, sharesBudgetOf } from '../ingest/cloudflare/principal.ts';
import type { ScrubLeave } from '../ingest/sync/ports.ts';
import type { ReadingCredential } from '../ingest/sync/store/leases.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Config } from './config/config.ts';
import type { LiveSecrets } from './config/live-secrets.ts';
import type { Metrics } from './telemetry/metrics.ts';

/** The first if there are several. Throws OrgtrailError `configuration` if there is none. */
export const requireCredential = ({ credentials: [first] }: Pick<Config, 'credentials'>): Credential => {
  if (first === undefined) throw new OrgtrailError('configuration', 'no credential');
  return first.credential;
};

export const apiObservers = (metrics: Metrics, logger: Logger) => ({
  observer: {
    ...metrics.requests,
    onRetry: (event: object) => logger.debug(event, 'retrying Cloudflare request'),
  },
  onUnreadable: () => logger.warn('skipped an organization with an invalid id'),
});

interface AccessParts {
  readonly config: Config;
  readonly pool: Pool;
  readonly secrets: LiveSecrets;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly connection: Omit<AuditApiOptions, 'credential' | 'budget' | 'principal'>;
}

/** A credential that is configured while the process runs is taken up with its first use. */
export const openAccessToApi = (parts: AccessParts) => {
  const { config, pool, secrets, logger } = parts;
  const nowMs = () => performance.now();
  const limit = createProcessLimit({ requestsPerWindow: largestBudget(config), nowMs });
  const opened = new Map<string, OpenedAccess>();
  const knownUsers = (): readonly string[] =>
    [...new Set(Array.from(opened.values(), ({ principal }) => principal.current()))]
      .filter((name) => name !== undefined)
      .toSorted();
  /** Of several credentials of one user the smallest counts. */
  const budgetOf = (principal: Principal): number => {
    const all = secrets.credentials();
    const same = all.filter((each) => {
      const other = opened.get(each.name)?.principal;
      return other !== undefined && sharesBudgetOf(principal, other);
    });
    return Math.min(...(same.length > 0 ? same : all).map(({ budget }) => budget));
  };
  const open = (credential: LiveCredential): OpenedAccess => {
    const known = opened.get(credential.name);
    if (known !== undefined) return known;
    const access = openOne(parts, credential, { limit, budgetOf, knownUsers });
    opened.set(credential.name, access);
    return access;
  };
  const current = (): readonly CredentialAccess[] =>
    secrets.credentials().map((credential) => {
      const { api, principal, row, key, budget } = open(credential);
      return {
        ...credential,
        api,
        key: key(),
        isUser: !principal.isItself(),
        countedFor: row(),
        budget: budgetOf(principal),
        isUsedUp: budget.isUsedUp,
      };
    });
  const inUse = () => secrets.credentials().map((credential) => open(credential).budget);
  const names = () => new Map(secrets.credentials().map((credential) => [open(credential).key(), credential.name]));
  const facts = createStoredFacts(pool, nowMs, names);
  return {
    budgets: createSourceBudgets(current, facts),
    api: createApiByCredential({
      current,
      facts,
      refusals: createRefusals(nowMs),
      onListingFailed: (credential, { message: reason }) =>
        logger.warn(
          { credential, reason },
          'one of several credentials failed to list organizations; what it alone shows is not missed',
        ),
    }),
    /** Of all credentials together. */
    budget: {
      available: async () => sum(await Promise.all(inUse().map((budget) => budget.available()))),
      blockedSeconds: async () => Math.max(0, ...(await Promise.all(inUse().map((budget) => budget.blockedSeconds())))),
    },
    scrub: openScrub(config, pool, secrets.credentials().map(open)),
    credentials: (): readonly ReadingCredential[] =>
      secrets.credentials().map((credential) => ({
        name: credential.name,
        key: open(credential).key(),
        listsAccounts: credential.accounts !== false,
      })),
    close: async (): Promise<void> => {
      await Promise.all(Array.from(opened.values(), (access) => access.close()));
    },
  };
};

export const smallestBudget = ({ credentials, apiBudget }: Pick<Config, 'credentials' | 'apiBudget'>): number =>
  Math.min(...(credentials.length > 0 ? credentials.map(({ budget }) => budget) : [apiBudget]));

const largestBudget = ({ credentials, apiBudget }: Config): number =>
  Math.max(apiBudget, ...credentials.map(({ budget }) => budget));

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

type OpenedAccess = ReturnType<typeof openOne>;

const openOne = (
  parts: AccessParts,
  { name, source }: LiveCredential,
  shared: {
    readonly limit: ProcessLimit;
    readonly budgetOf: (principal: Principal) => number;
    readonly knownUsers: () => readonly string[];
  },
) => {
  const { pool, metrics, logger, secrets, connection } = parts;
  const warnUnsure = () =>
    logger.warn(
      { credential: name },
      'Cloudflare does not say which user this credential is of: it shares the budget of each user that the others are of; GET /user takes "User Details Read"',
    );
  const principal = createPrincipal(
    source,
    () => performance.now(),
    () => secrets.credentials().length > 1 && warnUnsure(),
  );
  const fingerprint = fingerprintOfCurrent(source);
  const principals = () => principalsOf(principal, shared.knownUsers);
  const budget = createApiBudget({
    pool,
    fingerprint,
    principals,
    requestsPerWindow: () => shared.budgetOf(principal),
    onWait: (waitMs, because) => {
      metrics.throttled(waitMs);
      if (waitMs > 10_000)
        logger.warn({ waitMs: Math.round(waitMs), because }, 'rate limited: delaying requests to Cloudflare');
    },
  });
  const limited = withProcessLimit(budget, shared.limit);
  const { api, close } = connectAuditApi({ ...connection, credential: source, budget: limited, principal });
  // The row of the budget that it counts in before others; `key` is its own.
  const row = () => principals().at(-1) ?? fingerprint();
  return { api, principal, budget, row, key: fingerprint, close };
};

const principalsOf = (principal: Principal, knownUsers: () => readonly string[]): readonly string[] => {
  const name = principal.current();
  if (name !== undefined) return [name];
  return principal.isUnsure() ? [UNNAMED_USERS, ...knownUsers()] : [];
};

/** Asked for with every request; a credential is hashed once. */
const fingerprintOfCurrent = (source: CredentialSource): (() => string) => {
  let hashed: { readonly credential: Credential; readonly fingerprint: string } | undefined;
  return () => {
    const credential = source.current();
    if (hashed?.credential !== credential) hashed = { credential, fingerprint: fingerprintOf(credential) };
    return hashed.fingerprint;
  };
};

const fingerprintOf = (credential: Credential): string =>
  credentialFingerprint(credential.kind === 'token' ? credential.token : `${credential.email}\0${credential.key}`);

/** A share of the smallest budget, in the row of the first credential: which one reads a window again is not known beforehand. */
const openScrub = (config: Config, pool: Pool, [first]: readonly OpenedAccess[]): ScrubLeave | undefined => {
  const { scrub, tickMs } = config;
  if (scrub.share === 0 || first === undefined) return undefined;
  const { share, everyMs } = scrub;
  const requestsPerWindow = smallestBudget(config);
  return { everyMs, ...createScrubBudget({ pool, fingerprint: first.row, requestsPerWindow, share, tickMs }) };
};
