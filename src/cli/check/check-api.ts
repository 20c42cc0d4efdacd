import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { apiObservers, requireCredential } from '../../app/cloudflare-access.ts';
import type { Config } from '../../config/config.ts';
import { ApiError, exitCodes } from '../../errors.ts';
import { connectAuditApi } from '../../ingest/cloudflare/audit-api.ts';
import type { RequestBudget } from '../../ingest/cloudflare/wire/request.ts';
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
import { type Check, probeLogs } from './probe-logs.ts';

/** How long all of it may take, in milliseconds. */
export const SLOWEST_MS = 45_000;

/** What the credential may list and read. */
export const checkApi = async (config: Config, logger: Logger, signal: AbortSignal): Promise<readonly Check[]> => {
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
    const accounts = () => checkAccounts(api, config, organizations, signal);
    if (!config.sources.includes('organization')) return [listed, ...(await accounts())];
    if (organizations.length === 0) {
      const message = 'no organization is visible';
      return [{ ...listed, ok: false, message, hint: emptyHint, exitCode: exitCodes.usage }, ...(await accounts())];
    }
    const logs = await probeLogs(api, 'organization', organizations, { name: 'audit logs', hint: logsHint, signal });
    return [listed, logs, ...(await accounts())];
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

const logsHint = `the owner of the token must be ${organization.permission}; a documented workaround is CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY`;
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
