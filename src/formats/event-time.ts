import { parseInstantMs } from '../time/instant.ts';
import type { FeedEvent } from './feed-event.ts';

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
