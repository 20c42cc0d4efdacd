import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { OrgtrailError } from '../errors.ts';
import {
  type ApiBudget,
  type ApiBudgetOptions,
  createApiBudget,
  credentialFingerprint,
} from '../ingest/cloudflare/api-budget.sql.ts';
import type { Credential, CredentialSource } from '../ingest/cloudflare/credential.ts';
import { createPrincipal, type Principal } from '../ingest/cloudflare/principal.ts';
import { createProcessLimit, withProcessLimit } from '../ingest/cloudflare/process-limit.ts';
import { createScrubBudget } from '../ingest/cloudflare/scrub-budget.sql.ts';
import type { ScrubLeave } from '../ingest/sync/ports.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The credential of the configuration. Throws OrgtrailError `configuration` if it has none. */
export const requireCredential = ({ credential }: Pick<Config, 'credential'>): Credential => {
  if (credential === undefined) throw new OrgtrailError('configuration', 'no credential');
  return credential;
};

/** How requests to Cloudflare are counted and logged. */
export const apiObservers = (metrics: Metrics, logger: Logger) => ({
  observer: {
    ...metrics.requests,
    onRetry: (event: object) => logger.debug(event, 'retrying Cloudflare request'),
  },
  onUnreadable: () => logger.warn('skipped an organization with an invalid id'),
});

/** How requests with the credential of the configuration are counted. */
export interface ApiAccess {
  readonly principal: Principal;
  readonly budget: ApiBudget;
  /** Undefined: history is not read a second time. */
  readonly scrub: ScrubLeave | undefined;
}

/** Called once for each process that reads. */
export const openAccessToApi = (
  config: Config,
  pool: Pool,
  credential: CredentialSource,
  telemetry: { readonly metrics: Metrics; readonly logger: Logger },
): ApiAccess => {
  const principal = createPrincipal(credential, () => performance.now());
  const fingerprint = () => fingerprintOf(credential.current());
  return {
    principal,
    budget: openBudget(config, pool, { fingerprint, principal: principal.current }, telemetry),
    scrub: openScrub(config, pool, () => principal.current() ?? fingerprint()),
  };
};

const fingerprintOf = (credential: Credential): string =>
  credentialFingerprint(credential.kind === 'token' ? credential.token : `${credential.email}\0${credential.key}`);

const openScrub = (config: Config, pool: Pool, fingerprint: () => string): ScrubLeave | undefined => {
  const { apiBudget: requestsPerWindow, scrub, tickMs } = config;
  if (scrub.share === 0) return undefined;
  const { share, everyMs } = scrub;
  return { everyMs, ...createScrubBudget({ pool, fingerprint, requestsPerWindow, share, tickMs }) };
};

const openBudget = (
  { apiBudget: requestsPerWindow }: Config,
  pool: Pool,
  counted: Pick<ApiBudgetOptions, 'fingerprint' | 'principal'>,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
): ApiBudget => {
  const budget = createApiBudget({
    pool,
    ...counted,
    requestsPerWindow,
    onWait: (waitMs, because) => {
      metrics.throttled(waitMs);
      if (waitMs > 10_000)
        logger.warn({ waitMs: Math.round(waitMs), because }, 'rate limited: delaying requests to Cloudflare');
    },
  });
  return withProcessLimit(budget, createProcessLimit({ requestsPerWindow, nowMs: () => performance.now() }));
};
