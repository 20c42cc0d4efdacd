import { Counter, type Registry } from 'prom-client';
import type { AccessLimit } from '../access/access.ts';

/** What the HTTP server and the trail of access tell the metrics. */
export interface HttpObserver {
  /** `status` is the code, or `aborted` if the connection ended before an answer. */
  answered(route: string, status: string): void;
  signInFailed(): void;
  /** Rows of the trail that did not get into the database. */
  accessNotesLost(count: number): void;
  /** More different requests than are kept at a time. */
  accessLimitReached(limit: AccessLimit): void;
}

/** The labels are bounded: a route is its pattern, and what has none is `unmatched`. */
export const createHttpMetrics = (registers: Registry[]): HttpObserver => {
  const requests = new Counter({
    name: 'orgtrail_http_requests_total',
    help: 'HTTP responses of this process, by route pattern and status.',
    labelNames: ['route', 'status'],
    registers,
  });
  const signInFailures = new Counter({
    name: 'orgtrail_sign_in_failures_total',
    help: 'Refused attempts to sign in to the console.',
    registers,
  });
  const lost = new Counter({
    name: 'orgtrail_access_log_lost_total',
    help: 'Rows that could not be written to access_log; the log has them.',
    registers,
  });
  const limits = new Counter({
    name: 'orgtrail_access_log_limit_total',
    help: 'Requests beyond the different ones that the trail of access keeps within an hour. limit="strangers": refused without a name, and noted without an address; "readers": noted in full, and the sums of others sooner.',
    labelNames: ['limit'],
    registers,
  });
  for (const limit of ['readers', 'strangers']) limits.labels(limit).inc(0);
  return {
    answered: (route, status) => requests.labels(route, status).inc(),
    signInFailed: () => signInFailures.inc(),
    accessNotesLost: (count) => lost.inc(count),
    accessLimitReached: (limit) => limits.labels(limit).inc(),
  };
};
