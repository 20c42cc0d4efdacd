import type { Occasion } from '../faults/fault-plan.ts';
import type { Caller } from './credentials.ts';

/** Where the API is served. */
export const basePath = '/client/v4';

/** One call of the organizations service. */
export interface OrganizationCall {
  readonly method: string;
  /** Path and query as sent. */
  readonly url: string;
  readonly query: URLSearchParams;
  readonly organizationId: string | undefined;
  readonly isProfile: boolean;
  readonly body: string;
  readonly caller: Caller;
  readonly userAgent: string;
  readonly occasion: Occasion;
}
