import { eventInstant } from '../../formats/event-time.ts';
import type { FormatName } from '../../formats/formats.ts';
import type { OutgoingEvent } from '../delivery.ts';
import { jsonSplicer } from './json-splice.ts';

/**
 * Writes an event as an object for receivers that take its time from a field: the time first, then key and position, then the event
 * in its format. The time is that of the action, or that of the receipt if the entry has none.
 */
export const datedItemWriter = (timeField: string, format: FormatName): ((event: OutgoingEvent) => string) => {
  const asJson = jsonSplicer(format);
  return ({ event, key, text }) =>
    `{"${timeField}":"${eventInstant(event)}","key":${JSON.stringify(key)},"position":${event.position},"event":${asJson(text)}}`;
};
