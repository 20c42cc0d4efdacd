import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FeedEvent } from '../formats/feed-event.ts';
import { type FormatName, formats } from '../formats/formats.ts';
import type { Delivery, OutgoingEvent } from './delivery.ts';

/** Some milliseconds of work: then others have their turn. */
const EVENTS_AT_ONCE = 200;

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** The idempotency key of an event: it never changes, whichever database the event is in. */
const eventKey = (event: Pick<FeedEvent, 'sourceKind' | 'sourceId' | 'id'>): string =>
  digest(`${event.sourceKind}\0${event.sourceId}\0${event.id}`);

/** At least one event, as handed to a sink. */
export const createDelivery = async (events: readonly FeedEvent[], format: FormatName): Promise<Delivery> => {
  const outgoing: OutgoingEvent[] = [];
  for (const event of events) {
    outgoing.push({ event, key: eventKey(event), text: formats[format].format(event) });
    if (outgoing.length % EVENTS_AT_ONCE === 0) await nextTurn();
  }
  return { id: digest(outgoing.map(({ key }) => key).join('\0')), events: outgoing };
};
