import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { OrgtrailError } from '../errors.ts';
import { type ApiBudget, createApiBudget, credentialFingerprint } from '../ingest/cloudflare/api-budget.sql.ts';
import type { Credential } from '../ingest/cloudflare/credential.ts';
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

export const fingerprintOf = (credential: Credential): string =>
  credentialFingerprint(credential.kind === 'token' ? credential.token : `${credential.email}\0${credential.key}`);

type Fingerprint = () => string;

export const openScrub = (config: Config, pool: Pool, fingerprint: Fingerprint): ScrubLeave | undefined => {
  const { apiBudget: requestsPerWindow, scrub, tickMs } = config;
  if (scrub.share === 0) return undefined;
  const { share, everyMs } = scrub;
  return { everyMs, ...createScrubBudget({ pool, fingerprint, requestsPerWindow, share, tickMs }) };
};

export const openBudget = (
  config: Config,
  pool: Pool,
  fingerprint: Fingerprint,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
): ApiBudget => {
  return createApiBudget({
    pool,
    fingerprint,
    requestsPerWindow: config.apiBudget,
    onWait: (waitMs, because) => {
      metrics.throttled(waitMs);
      if (waitMs > 10_000)
        logger.warn({ waitMs: Math.round(waitMs), because }, 'rate limited: delaying requests to Cloudflare');
    },
  });
};
