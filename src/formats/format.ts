import { parseInstantMs } from '../base/time.ts';
import type { LargeTexts } from './text.ts';

export interface LineFacts {
  readonly position: number;
  /** Undefined if the format cuts it. */
  readonly id: string | undefined;
  /** Kind and id of the source. */
  readonly source?: string;
  /** The entry's text to the byte. */
  readonly rawText?: string;
}

export interface Format {
  readonly contentType: string;
  /** With the dot. */
  readonly fileExtension: string;
  /** A line is one JSON object: fits into a larger JSON text, and receivers of documents take it. */
  readonly json: boolean;
  readonly format: EventFormatter;
  /** Throws for anything but a whole line. */
  readonly readLine: (line: string) => LineFacts;
}

export const jsonLines = { contentType: 'application/x-ndjson', fileExtension: '.ndjson', json: true } as const;
export const textLines = { contentType: 'text/plain; charset=utf-8', json: false } as const;

/** Throws if `position` or `id` is invalid. */
export const jsonFacts = (position: unknown, id: unknown): LineFacts => {
  if (!Number.isSafeInteger(position) || typeof id !== 'string') throw new Error('the line has no position or no id');
  return { position: position as number, id };
};

/** `pattern` captures the position at the end: only a whole line has it. */
export const factsAtEnd = (pattern: RegExp, line: string): LineFacts => {
  const position = pattern.exec(line)?.[1];
  if (position === undefined) throw new Error('the line does not end with its position');
  return { position: Number(position), id: undefined };
};

/** A stored event. Texts are well-formed, as PostgreSQL holds only such. */
export interface FeedEvent {
  /** Gapless, in commit order; a safe integer. */
  readonly position: number;
  /** Names the numbering of `position`: another database has another feed. */
  readonly feedId: string;
  readonly sourceKind: string;
  readonly sourceId: string;
  /** When the event was stored; null for an account without one. */
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  /** Always set in the log of an account; in that of an organization as the entry says. */
  readonly accountId: string | null;
  readonly accountName: string | null;
  readonly zoneId: string | null;
  readonly zoneName: string | null;
  /** Cloudflare's, or a hash if there was none to be used. */
  readonly id: string;
  /** RFC 3339; null if not readable. */
  readonly actionTime: string | null;
  /** RFC 3339. */
  readonly receivedAt: string;
  /** Exact JSON text; with a defect of `textDefects`, a JSON string of it. */
  readonly rawText: string;
  readonly defects: readonly string[] | null;
}

/** Formats then name the account. */
export const isOfAccount = ({ sourceKind }: Pick<FeedEvent, 'sourceKind'>): boolean => sourceKind === 'account';

/** One line without the newline. Pure, never throws. With `large`, JSON formats may leave large texts out for `large` to put back. */
export type EventFormatter = (event: FeedEvent, large?: LargeTexts) => string;

/** Milliseconds since 1970. */
export const receivedMs = (event: FeedEvent): number => parseInstantMs(event.receivedAt) ?? 0;

/** Milliseconds since 1970; undefined if the entry has no readable time. */
export const actionMs = (event: FeedEvent): number | undefined =>
  event.actionTime === null ? undefined : parseInstantMs(event.actionTime);

/** Taken by every reader of dates. RFC 3339 also allows `t`, a space, second 60 and endless fractions. */
const strict = /^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

const strictInstant = (text: string, readMs: () => number): string =>
  strict.test(text) ? text : new Date(readMs()).toISOString();

/** Strict RFC 3339 with the stored precision. */
export const receivedInstant = (event: FeedEvent): string => strictInstant(event.receivedAt, () => receivedMs(event));

/** Of the action, or if unknown of the receipt. */
export const eventInstant = (event: FeedEvent): string => {
  const ms = actionMs(event);
  return event.actionTime === null || ms === undefined
    ? receivedInstant(event)
    : strictInstant(event.actionTime, () => ms);
};
