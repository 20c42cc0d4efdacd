import type { LargeTexts } from './json-line.ts';

/** One stored event as the feed hands it to a format. Texts are well-formed, as PostgreSQL only holds such. */
export interface FeedEvent {
  /** Gapless, in commit order; a safe integer. */
  readonly position: number;
  /** Names the numbering that `position` belongs to: another database, another feed. */
  readonly feedId: string;
  readonly sourceKind: string;
  readonly sourceId: string;
  /** The organization as of when the event was stored; null for an account that belongs to none. */
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  /** Of the log of an account always set; of the log of an organization as the entry says. */
  readonly accountId: string | null;
  readonly accountName: string | null;
  readonly zoneId: string | null;
  readonly zoneName: string | null;
  /** As stored: Cloudflare's, or a hash if there was none that could be used. */
  readonly id: string;
  /** RFC 3339; null if the entry has no time that can be read. */
  readonly actionTime: string | null;
  /** RFC 3339. */
  readonly receivedAt: string;
  /** The entry's exact JSON text; with the defects of `textDefects`, a JSON string that holds it. */
  readonly rawText: string;
  readonly defects: readonly string[] | null;
}

/** Whether the event is of the log of an account: formats then name the account. */
export const isOfAccount = ({ sourceKind }: Pick<FeedEvent, 'sourceKind'>): boolean => sourceKind === 'account';

/**
 * Writes one event as one line, without the newline. Pure, never throws, whatever the entry holds. With `large`, formats of JSON may leave
 * large texts out of the line, which `large` then puts back.
 */
export type EventFormatter = (event: FeedEvent, large?: LargeTexts) => string;
