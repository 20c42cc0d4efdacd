import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FeedEvent } from '../formats/format.ts';
import { type FormatName, formats } from '../formats/registry.ts';
import { type Finding, type FoundEvent, findingKeyParts, findingLine } from './findings/finding.ts';

export interface OutgoingEvent {
  readonly event: FeedEvent;
  /** `event` then has its position, times and place. */
  readonly finding?: Finding | undefined;
  /** Idempotency key of the entry (a hash of source and id, 43 characters of base64url): survives restart, replay and restore. */
  readonly key: string;
  readonly text: string;
}

/** Events in order of position. Never empty. */
export interface Delivery {
  /** Names these events: the same at every attempt of any process. Up to 64 characters of [A-Za-z0-9_-]. */
  readonly id: string;
  readonly events: readonly OutgoingEvent[];
  /**
   * Its only event is the record of a checkpoint of the evidence, JSON in any format: `record`, the value of `orgtrail_checkpoint`.
   * Size and root are those of the log of events.
   */
  readonly checkpoint?: Readonly<{ size: number; root: string; record: string }>;
}

/** The receiver's answer. Only what it confirmed counts as delivered. */
export type DeliveryOutcome =
  /** It has all but those that it refuses for their content (indexes into `events`). */
  | { readonly kind: 'delivered'; readonly refused: readonly { readonly index: number; readonly reason: string }[] }
  /** It refuses all of it for its content, and has none: smaller deliveries may be taken. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Unknown; to be retried. Slow: it took too long. Receiver: not because of the content. */
  | Readonly<{ kind: 'failed'; reason: string; retryAfterMs?: number; because?: 'slow' | 'receiver' }>;

/** Takes one delivery at a time. */
export interface Sink {
  /** For logs: without a credential. */
  readonly target: string;
  /** Limit of one delivery, whatever the settings say. */
  readonly maxEvents?: number | undefined;
  /** Limit of one delivery, counted in entries as Cloudflare sent them. Default: 4 MB. */
  readonly maxBytes?: number | undefined;
  /** Default: the bytes of its text. */
  eventBytes?(event: OutgoingEvent): number;
  /** May reject: counts as `failed`. Rejects early when `signal` aborts. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}

/** Some milliseconds of work before others have their turn. */
const EVENTS_AT_ONCE = 200;

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** The same in every database. */
const eventKey = (event: Pick<FeedEvent, 'sourceKind' | 'sourceId' | 'id'>): string =>
  digest(`${event.sourceKind}\0${event.sourceId}\0${event.id}`);

const outgoingOf = (event: FeedEvent | FoundEvent, format: FormatName): OutgoingEvent => {
  if (!('finding' in event)) return { event, key: eventKey(event), text: formats[format].format(event) };
  const key = digest(findingKeyParts(event).join('\0'));
  return { event, finding: event.finding, key, text: findingLine(event, key, format) };
};

export const textBytes = ({ text }: OutgoingEvent): number => Buffer.byteLength(text, 'utf8');

type Refusal = Readonly<{ index: number; reason: string }>;

export interface Outgoing {
  readonly events: readonly OutgoingEvent[];
  readonly tooLarge: readonly Refusal[];
  readonly delivery: Delivery | undefined;
}

interface OutgoingOptions {
  readonly format: FormatName;
  readonly maxEventBytes?: number | undefined;
  readonly sink: Pick<Sink, 'eventBytes'>;
}

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

/** The outcome of those that were sent, for all of them: refusals by index into `events`. */
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
