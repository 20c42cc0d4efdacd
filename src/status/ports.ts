import type { ArchiveStatus } from '../archive/archive-status.sql.ts';
import type { EvidenceStatus } from '../evidence/stored/evidence-status.sql.ts';
import type { StreamLoad } from '../limits/stream-limits.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import type { AccountListings } from './account-listings.sql.ts';
import type { GoneAccounts } from './status.sql.ts';
import type { StatusFigures } from './status-reader.ts';

/** What a scrape reads from the database, so that every replica shows the same. */
export interface MetricsSource {
  figures(): Promise<StatusFigures>;
  sinks(): Promise<readonly SinkStatus[]>;
  /** Of this process alone. */
  streamLoad(): StreamLoad;
  organizationCounts(): Promise<Readonly<Record<string, number>>>;
  vanishedCount(): Promise<number>;
  /** Undefined if the logs of accounts are not read. */
  goneAccounts(): Promise<GoneAccounts | undefined>;
  /** Undefined if the logs of accounts are not read. */
  accountListings(): Promise<AccountListings | undefined>;
  /** Undefined if history is not read a second time, or there is none. */
  scrubRoundAge(): Promise<number | undefined>;
  /** Undefined if no evidence is configured, or there is none yet. */
  evidence(): Promise<EvidenceStatus | undefined>;
  /** Evidence is configured for this process, also if there is none yet. */
  readonly isEvidenceSet: boolean;
  /** Undefined if no archive is configured. */
  archive(): Promise<ArchiveStatus | undefined>;
  budgetAvailable(): Promise<number>;
  blockedSeconds(): Promise<number>;
}
