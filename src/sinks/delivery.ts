import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FeedEvent } from '../formats/format.ts';
import { type FormatName, formats } from '../formats/registry.ts';
import { type Finding, type FoundEvent, findingKeyParts, findingLine } from './findings/finding.ts';

/** One event on its way to a sink. */
export interface OutgoingEvent {
  readonly event: FeedEvent;
  /** What a detection found, if the sink is sent that; `event` then has its position, times and place. */
  readonly finding?: Finding | undefined;
  /**
   * The idempotency key: of the entry itself (a hash of source and id, 43 characters of base64url), so that it is the same
   * whatever is restarted, replayed or restored.
   */
  readonly key: string;
  /** In the format of the sink: one line, without the newline. */
  readonly text: string;
}

/** Some events in order of position, handed to a sink at once. Never empty. */
export interface Delivery {
  /** Names just these events: the same at every attempt, also of another process. Up to 64 characters of [A-Za-z0-9_-]. */
  readonly id: string;
  readonly events: readonly OutgoingEvent[];
  /** Its only event is the record of a checkpoint of the evidence, which is JSON whatever the format is. */
  readonly checkpoint?: {
    /** Of the log of events. */
    readonly size: number;
    /** In base64. */
    readonly root: string;
    /** What is under `orgtrail_checkpoint`, as JSON. */
    readonly record: string;
  };
}

/** What the receiver said. Only what it confirmed counts as delivered. */
export type DeliveryOutcome =
  /** It has all of them, but for those that it refuses for what is in them (indexes into `events`). */
  | { readonly kind: 'delivered'; readonly refused: readonly { readonly index: number; readonly reason: string }[] }
  /** It refuses the delivery as a whole for what is in it, and has none of it: smaller ones may be taken. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Nothing is certain; it is to be retried. Slow: it took too long. Receiver: it cannot be for what is in it. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly retryAfterMs?: number;
      readonly because?: 'slow' | 'receiver';
    };

/** A place that events are pushed to. One delivery at a time. */
export interface Sink {
  /** Where it delivers to, for logs: no credential in it. */
  readonly target: string;
  /** Most events of one delivery, whatever the settings say. Default: no limit of its own. */
  readonly maxEvents?: number | undefined;
  /** Most bytes of entries, as Cloudflare sent them, of one delivery. Default: 4 MB. */
  readonly maxBytes?: number | undefined;
  /** What an event takes as this sink writes it. Default: the bytes of its text. */
  eventBytes?(event: OutgoingEvent): number;
  /** Resolves with the outcome. May reject: that counts as `failed`. Ends early, by rejecting, when `signal` aborts. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}

/** Some milliseconds of work: then others have their turn. */
const EVENTS_AT_ONCE = 200;

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** The idempotency key of an event: it never changes, whichever database the event is in. */
const eventKey = (event: Pick<FeedEvent, 'sourceKind' | 'sourceId' | 'id'>): string =>
  digest(`${event.sourceKind}\0${event.sourceId}\0${event.id}`);

const outgoingOf = (event: FeedEvent | FoundEvent, format: FormatName): OutgoingEvent => {
  if (!('finding' in event)) return { event, key: eventKey(event), text: formats[format].format(event) };
  const key = digest(findingKeyParts(event).join('\0'));
  return { event, finding: event.finding, key, text: findingLine(event, key, format) };
};

/** What an event takes as it is formatted. */
export const textBytes = ({ text }: OutgoingEvent): number => Buffer.byteLength(text, 'utf8');

interface Refusal {
  readonly index: number;
  readonly reason: string;
}

/** Some events in order of position, and those of them that are sent. */
export interface Outgoing {
  readonly events: readonly OutgoingEvent[];
  /** By index into `events`. */
  readonly tooLarge: readonly Refusal[];
  /** All others; undefined if there is none. */
  readonly delivery: Delivery | undefined;
}

interface OutgoingOptions {
  readonly format: FormatName;
  /** An event that takes more is not sent. */
  readonly maxEventBytes?: number | undefined;
  readonly sink: Pick<Sink, 'eventBytes'>;
}

/** At least one event, as handed to a sink. */
export const createOutgoing = async (
  events: readonly (FeedEvent | FoundEvent)[],
  options: OutgoingOptions,
): Promise<Outgoing> => {
  const outgoing: OutgoingEvent[] = [];
  const tooLarge: Refusal[] = [];
  for (const event of events) {
    const next = outgoingOf(event, options.format);
    const reason = whyTooLarge(next, options);
    if (reason !== undefined) tooLarge.push({ index: outgoing.length, reason });
    outgoing.push(next);
    if (outgoing.length % EVENTS_AT_ONCE === 0) await nextTurn();
  }
  const left = new Set(tooLarge.map(({ index }) => index));
  const sent = outgoing.filter((_, index) => !left.has(index));
  const id = digest(sent.map(({ key }) => key).join('\0'));
  return { events: outgoing, tooLarge, delivery: sent.length === 0 ? undefined : { id, events: sent } };
};

const whyTooLarge = (event: OutgoingEvent, { maxEventBytes, sink }: OutgoingOptions): string | undefined => {
  if (maxEventBytes === undefined) return undefined;
  const bytes = sink.eventBytes?.(event) ?? textBytes(event);
  return bytes <= maxEventBytes
    ? undefined
    : `not sent: it has ${bytes} bytes, and max_event_bytes is ${maxEventBytes}`;
};

/** What the outcome for those that were sent means for all of them: refusals by index into `events`. */
export const outcomeOfAll = ({ events, tooLarge }: Outgoing, outcome: DeliveryOutcome): DeliveryOutcome => {
  if (outcome.kind !== 'delivered' || tooLarge.length === 0) return outcome;
  const left = new Set(tooLarge.map(({ index }) => index));
  const sent = events.flatMap((_, index) => (left.has(index) ? [] : [index]));
  const refused = outcome.refused.flatMap(({ index, reason }) => {
    const place = sent[index];
    return place === undefined ? [] : [{ index: place, reason }];
  });
  return { kind: 'delivered', refused: [...refused, ...tooLarge].sort((a, b) => a.index - b.index) };
};
