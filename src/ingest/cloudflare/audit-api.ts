import { hash } from 'node:crypto';
import { ApiError } from '../../errors.ts';
import type { Page } from '../entries/page.ts';
import { UnreadablePageError } from '../entries/page-envelope.ts';
import type { Filter } from '../planning/filters.ts';
import type { FoundOrganization, SourceKey } from '../planning/source.ts';
import { requestWindow } from '../planning/walk.ts';
import { kindOf } from '../sources/registry.ts';
import type { AuditApi } from '../sync/ports.ts';
import { createAccountsApi } from './accounts.ts';
import { fetchAuditPage } from './audit-logs.ts';
import { createCloudflareClient } from './client.ts';
import type { Credential, CredentialSource } from './credential.ts';
import { createOrganizationsApi, type Organization } from './organizations.ts';
import { type Principal, withPrincipal } from './principal.ts';
import type { Timeouts } from './wire/connection-failure.ts';
import type { RequestObserver } from './wire/middleware.ts';
import type { ApiText, RequestBudget } from './wire/request.ts';
import type { ServerClock } from './wire/server-clock.ts';

export interface AuditApiOptions {
  readonly baseUrl: string;
  readonly credential: Credential | CredentialSource;
  /** Sent with every request for the logs of a kind. */
  readonly filtersOf: (source: SourceKey) => readonly Filter[];
  readonly budget: RequestBudget;
  /** Asked for before the first request, if it is given. */
  readonly principal?: Principal | undefined;
  readonly clock: ServerClock;
  readonly observer: RequestObserver;
  /** Called for each organization or account of a listing that has no usable id. */
  readonly onUnreadable: () => void;
  readonly version: string;
  /** False: pages are read without the fast path. Default true. */
  readonly fastPath?: boolean | undefined;
  /** How retries wait; tests give one that does not. */
  readonly sleep?: (durationMs: number, signal: AbortSignal) => Promise<void>;
  /** Default: those of the client. */
  readonly timeouts?: Partial<Timeouts> | undefined;
}

/** What is in it does not matter, only whether it is answered. */
const PROBE_WINDOW_MS = 60_000;

/** Joins the wire to the port that sync declares. Built by the composition root and by the command `check`. */
export const connectAuditApi = ({
  filtersOf,
  onUnreadable,
  version,
  fastPath = true,
  ...options
}: AuditApiOptions): { api: AuditApi; close: () => Promise<void> } => {
  const { clock } = options;
  const client = withPrincipal(
    createCloudflareClient({ ...options, userAgent: `orgtrail/${version}` }),
    options.principal,
  );
  const organizations = createOrganizationsApi(client, { onUnreadable });
  const accounts = createAccountsApi(client, onUnreadable);
  const read = (source: SourceKey) => (answer: ApiText) => readOrThrow(source, answer, fastPath);
  const api: AuditApi = {
    fetchPage: async (source, walk, signal, attemptMs) => {
      const window = requestWindow(walk);
      return await fetchAuditPage(client, {
        source,
        since: window.fromMs,
        before: window.toMs,
        cursor: walk.cursor,
        limit: walk.pageLimit,
        direction: walk.direction,
        filters: [...filtersOf(source), ...walk.filters],
        signal,
        attemptMs,
        decode: read(source),
      });
    },
    probeAuditLog: async (source, signal) => {
      const before = clock.nowMs();
      if (before === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
      const window = { since: before - PROBE_WINDOW_MS, before, limit: 1, filters: [], direction: 'asc' as const };
      try {
        await fetchAuditPage(client, { source, ...window, signal, decode: read(source) });
        return 'open';
      } catch (error) {
        if (error instanceof ApiError && ['refused', 'not_found'].includes(error.failure)) return 'refused';
        throw error;
      }
    },
    listOrganizations: async function* (filter, signal) {
      for await (const page of organizations.list({ ...filter, signal })) yield page.map(toFound);
    },
    listAccounts: (signal, _, from) => accounts.list(signal, from),
    listAccountsOf: (organizationId, signal, from) => accounts.listOf(organizationId, signal, from),
    getOrganization: async (id, signal) => {
      const organization = await organizations.get(id, signal);
      return organization === undefined ? { id } : toFound(organization);
    },
    getProfile: (id, signal) => organizations.getProfile(id, signal),
    nowMs: () => clock.nowMs(),
  };
  return { api, close: () => client.close() };
};

/** A body that cannot be read is worth a retry. */
const readOrThrow = (source: SourceKey, answer: ApiText, fastPath: boolean): Page => {
  try {
    const page = kindOf(source).readPage(answer, { fastPath });
    page.servedAtMs = answer.dateMs;
    page.answer = { dateMs: answer.dateMs, cfRay: answer.cfRay, bodySha256: hash('sha256', answer.bytes) };
    return page;
  } catch (error) {
    if (error instanceof UnreadablePageError) throw new ApiError('unreadable', error.message);
    throw error;
  }
};

const toFound = (organization: Organization): FoundOrganization => ({
  ...organization,
  createTime: organization.createTime?.toISOString(),
});
