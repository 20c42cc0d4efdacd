import type { SourceHealth } from '../health.ts';
import type { AccountStatus, OrganizationStatus, SourceStatus } from '../status.sql.ts';

export type SourceWithState = SourceStatus & {
  readonly state: SourceHealth;
  /** Its history is being read for the first time, and it lacks nothing else: see `isFirstReading`. */
  readonly firstReading: boolean;
};
export type OrganizationWithState = Extract<SourceWithState, OrganizationStatus>;
export type AccountWithState = Extract<SourceWithState, AccountStatus>;

/** Whose log it is decides what it is called. */
export const isOrganization = <T extends SourceStatus>(source: T): source is T & OrganizationStatus =>
  source.accountId === undefined;

export const isAccount = <T extends SourceStatus>(source: T): source is T & AccountStatus =>
  source.accountId !== undefined;

/** Null: it has none, or it is not known. */
export const ownerName = (
  source: Pick<SourceStatus, 'accountId' | 'accountName' | 'organizationName'>,
): string | null => (source.accountId === undefined ? source.organizationName : (source.accountName ?? null));
