import { parseInstantMs } from '../base/time.ts';
import type { LargeTexts } from './text.ts';

/** What a line says of its event, for readers of the feed and for tests. */
export interface LineFacts {
  readonly position: number;
  /** The id of the entry; undefined if the format cuts it. */
  readonly id: string | undefined;
  /** Kind and id of the source, if the format has both. */
  readonly source?: string;
  /** The entry's text to the byte, if the format has it. */
  readonly rawText?: string;
}

/** A format, as a folder beside this file exports it and `formats.ts` lists it. */
export interface Format {
  /** Of many events, one a line. */
  readonly contentType: string;
  /** Of a file of many events, with the dot. Also of the golden file, `golden` in the folder. */
  readonly fileExtension: string;
  /** Each line is one JSON object: it goes into a larger JSON text as it is, and receivers of documents take it. */
  readonly json: boolean;
  readonly format: EventFormatter;
  /** Reads a line back. Throws for one that is not a whole line of this format. */
  readonly readLine: (line: string) => LineFacts;
}

/** What every format that writes JSON has in common. */
export const jsonLines = { contentType: 'application/x-ndjson', fileExtension: '.ndjson', json: true } as const;
/** What every format that writes anything else has in common. */
export const textLines = { contentType: 'text/plain; charset=utf-8', json: false } as const;

/** Facts of a line of JSON. Throws if `position` or `id` is not what it must be. */
export const jsonFacts = (position: unknown, id: unknown): LineFacts => {
  if (!Number.isSafeInteger(position) || typeof id !== 'string') throw new Error('the line has no position or no id');
  return { position: position as number, id };
};

/** Facts of a line that ends with its position, which `pattern` captures: only a whole line has it. */
export const factsAtEnd = (pattern: RegExp, line: string): LineFacts => {
  const position = pattern.exec(line)?.[1];
  if (position === undefined) throw new Error('the line does not end with its position');
  return { position: Number(position), id: undefined };
};

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

/** Milliseconds since 1970 of when orgtrail stored the event. */
export const receivedMs = (event: FeedEvent): number => parseInstantMs(event.receivedAt) ?? 0;

/** Milliseconds since 1970 of the action; undefined if the entry has no time that can be read. */
export const actionMs = (event: FeedEvent): number | undefined =>
  event.actionTime === null ? undefined : parseInstantMs(event.actionTime);

/** The form that every reader of dates takes. RFC 3339 also allows `t`, a space, second 60 and endless fractions. */
const strict = /^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

const strictInstant = (text: string, readMs: () => number): string =>
  strict.test(text) ? text : new Date(readMs()).toISOString();

/** When orgtrail stored the event, as a strict RFC 3339 text with the precision it has. */
export const receivedInstant = (event: FeedEvent): string => strictInstant(event.receivedAt, () => receivedMs(event));

/** When the action happened, or if that is unknown, when the event was received: formats that need a time. */
export const eventInstant = (event: FeedEvent): string => {
  const ms = actionMs(event);
  return event.actionTime === null || ms === undefined
    ? receivedInstant(event)
    : strictInstant(event.actionTime, () => ms);
};
