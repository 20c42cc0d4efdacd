import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { readFeedEvents } from '../../../src/feed/feed-events.sql.ts';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { formats } from '../../../src/formats/registry.ts';
import type { SinkReceiver } from './sink-receivers.ts';

/** The idempotency key as docs/sinks.md has it, worked out apart from the code that sends it. */
export const documentedKey = (sourceKind: string, sourceId: string, id: string): string =>
  createHash('sha256').update(`${sourceKind}\0${sourceId}\0${id}`).digest('base64url');

interface StoredEvent {
  readonly event: FeedEvent;
  readonly key: string;
}

/** Every event of the store, by position. */
export const readStore = async (pool: Pool): Promise<readonly StoredEvent[]> => {
  const range = { until: undefined, maxEvents: 100_000, maxBytes: 1e9, organizationIds: undefined };
  const { events } = await readFeedEvents(pool, { after: 0, ...range });
  return events.map((event) => ({ event, key: documentedKey(event.sourceKind, event.sourceId, event.id) }));
};

/** `wrong` has how many events are not as they have to be, each 0 where all is well. */
export interface Judgement {
  readonly wrong: {
    readonly missing: number;
    /** Under a key that no event of the store has. */
    readonly unknown: number;
    /** Another position or text than that of the event with the same key: the first time, or when it came again. */
    readonly changed: number;
    /** Came for the first time behind one of a higher position. */
    readonly outOfOrder: number;
  };
  readonly events: number;
  /** Came again. */
  readonly repeats: number;
}

/** Compares what a receiver has with the store. */
export const judgeReceived = async (receiver: SinkReceiver, store: readonly StoredEvent[]): Promise<Judgement> => {
  const { format } = formats[receiver.format];
  const wanted = new Map(store.map(({ key, event }) => [key, `${event.position} ${format(event)}`]));
  const seen = new Set<string>();
  const wrong = { missing: 0, unknown: 0, changed: 0, outOfOrder: 0 };
  let last = 0;
  const received = await receiver.received();
  for (const { key, position, text } of received) {
    if (!wanted.has(key)) wrong.unknown += 1;
    else if (wanted.get(key) !== `${position} ${text}`) wrong.changed += 1;
    if (seen.has(key)) continue;
    seen.add(key);
    if (position <= last) wrong.outOfOrder += 1;
    last = position;
  }
  wrong.missing = [...wanted.keys()].filter((key) => !seen.has(key)).length;
  return { wrong, events: seen.size, repeats: received.length - seen.size + receiver.dropped() };
};
