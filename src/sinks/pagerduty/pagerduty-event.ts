import { receivedInstant } from '../../formats/event-time.ts';
import { cut } from '../../formats/plain-text.ts';
import type { OutgoingEvent } from '../delivery.ts';
import { messageOf } from '../people/message.ts';

/** Of `payload.summary`. */
const MAX_SUMMARY = 1_024;

const MAX_PLACE = 255;

const severities: Readonly<Record<string, string>> = { critical: 'critical', high: 'error', medium: 'warning' };

/** The body of a call of Events API v2: an incident is opened, or noted in the one with the same `dedup_key`. */
export const pagerdutyEvent = (outgoing: OutgoingEvent, routingKey: string, consoleUrl: string | undefined): string => {
  const { event, finding, key, text } = outgoing;
  const { title, severity, place: wholePlace, summary, link } = messageOf(outgoing, consoleUrl);
  const place = cut(wholePlace, MAX_PLACE);
  return JSON.stringify({
    routing_key: routingKey,
    event_action: 'trigger',
    dedup_key: key,
    client: 'orgtrail',
    ...(consoleUrl !== undefined && { client_url: consoleUrl }),
    ...(link !== undefined && { links: [{ href: link, text: 'Open in the console' }] }),
    payload: {
      summary: cut(`${title} · ${place}: ${summary}`, MAX_SUMMARY),
      source: place,
      severity: severities[severity] ?? 'info',
      timestamp: event.actionTime ?? receivedInstant(event),
      component: 'cloudflare',
      group: place,
      class: finding?.detection ?? 'event',
      custom_details: { event: text },
    },
  });
};
