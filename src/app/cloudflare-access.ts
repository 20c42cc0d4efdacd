import type { Logger } from 'pino';
import { OrgtrailError } from '../base/errors.ts';
import {
  createApiBudget,
  createScrubBudget,
  credentialFingerprint,
  readBudgetsLeft,
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
import { type Connections, defaultTimeouts, openConnections } from '../ingest/cloudflare/wire/transport.ts';
import type { ScrubLeave } from '../ingest/sync/ports.ts';
import type { ReadingCredential } from '../ingest/sync/store/leases.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Config } from './config/config.ts';
import type { LiveSecrets } from './config/live-secrets.ts';
import { summed } from './telemetry/log-sync.ts';
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
  const { config, pool, logger } = parts;
  const nowMs = () => performance.now();
  const { current, close } = openCredentials(parts);
  const names = () => new Map(current().map(({ key, name }) => [key, name]));
  const facts = createStoredFacts(pool, nowMs, names);
  const left = () => readBudgetsLeft(pool, current());
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
    /** Of all principals together. */
    budget: {
      available: async () => (await left()).available,
      blockedSeconds: async () => (await left()).blockedSeconds,
    },
    scrub: openScrub(config, pool, current()),
    credentials: (): readonly ReadingCredential[] =>
      current().map(({ name, key, accounts }) => ({ name, key, listsAccounts: accounts !== false })),
    close,
  };
};

/** Made again when the configuration changes: of thousands of credentials, a request looks at few. */
const openCredentials = (parts: AccessParts) => {
  const { config, secrets, connection } = parts;
  const limit = createProcessLimit({ requestsPerWindow: largestBudget(config), nowMs: () => performance.now() });
  const connections = openConnections({ ...defaultTimeouts, ...connection.timeouts });
  const opened = new Map<string, OpenedAccess>();
  let configured: readonly LiveCredential[] = [];
  let all: readonly CredentialAccess[] = [];
  const ofUsers = () => all.filter(({ isUser }) => isUser).flatMap(({ name }) => opened.get(name)?.principal ?? []);
  const knownUsers = (): readonly string[] =>
    [...new Set(ofUsers().map((principal) => principal.current()))].filter((name) => name !== undefined).toSorted();
  /** Of several credentials of one user the smallest counts. */
  const budgetOf = (principal: Principal, own: number): number => {
    if (principal.current() === undefined && !principal.isUnsure()) return own;
    const same = configured.filter(({ name }) => {
      const other = opened.get(name)?.principal;
      return other !== undefined && sharesBudgetOf(principal, other);
    });
    return Math.min(own, ...same.map(({ budget }) => budget));
  };
  const open = (credential: LiveCredential): CredentialAccess => {
    const { name } = credential;
    const access = opened.get(name) ?? openOne(parts, credential, { limit, connections, budgetOf, knownUsers });
    opened.set(name, access);
    return access.of(credential);
  };
  return {
    current: (): readonly CredentialAccess[] => {
      const latest = secrets.credentials();
      if (latest !== configured) {
        configured = latest;
        all = latest.map(open);
        const names = new Set(latest.map(({ name }) => name));
        for (const name of opened.keys()) if (!names.has(name)) opened.delete(name);
      }
      return all;
    },
    close: connections.close,
  };
};

export const smallestBudget = ({ credentials, apiBudget }: Pick<Config, 'credentials' | 'apiBudget'>): number =>
  Math.min(...(credentials.length > 0 ? credentials.map(({ budget }) => budget) : [apiBudget]));

const largestBudget = ({ credentials, apiBudget }: Config): number =>
  Math.max(apiBudget, ...credentials.map(({ budget }) => budget));

type OpenedAccess = ReturnType<typeof openOne>;

const openOne = (
  parts: AccessParts,
  { name, source, budget: firstBudget }: LiveCredential,
  shared: {
    readonly limit: ProcessLimit;
    readonly connections: Connections;
    readonly budgetOf: (principal: Principal, own: number) => number;
    readonly knownUsers: () => readonly string[];
  },
) => {
  let own = firstBudget;
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
  const unsaid = summed(() => performance.now());
  const budget = createApiBudget({
    pool,
    fingerprint,
    principals,
    requestsPerWindow: () => shared.budgetOf(principal, own),
    onWait: (waitMs, because) => {
      metrics.throttled(waitMs);
      const since = waitMs > 10_000 ? unsaid(because) : undefined;
      if (since === undefined) return;
      logger.warn({ waitMs: Math.round(waitMs), because, ...since }, 'rate limited: delaying requests to Cloudflare');
    },
  });
  const limited = withProcessLimit(budget, shared.limit);
  const { connections } = shared;
  const { api } = connectAuditApi({ ...connection, connections, credential: source, budget: limited, principal });
  return {
    principal,
    of: (latest: LiveCredential): CredentialAccess => {
      own = latest.budget;
      return {
        ...latest,
        api,
        isUsedUp: budget.isUsedUp,
        get key() {
          return fingerprint();
        },
        get isUser() {
          return !principal.isItself();
        },
        get countedFor() {
          return principals().at(-1) ?? fingerprint();
        },
        get budget() {
          return shared.budgetOf(principal, own);
        },
      };
    },
  };
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
const openScrub = (config: Config, pool: Pool, [first]: readonly CredentialAccess[]): ScrubLeave | undefined => {
  const { scrub, tickMs } = config;
  if (scrub.share === 0 || first === undefined) return undefined;
  const { share, everyMs } = scrub;
  const requestsPerWindow = smallestBudget(config);
  return {
    everyMs,
    ...createScrubBudget({ pool, fingerprint: () => first.countedFor, requestsPerWindow, share, tickMs }),
  };
};
