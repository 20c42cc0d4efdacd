import { receivedInstant } from '../../formats/event-time.ts';
import { cut } from '../../formats/plain-text.ts';
import type { OutgoingEvent } from '../delivery.ts';
import { messageOf } from '../people/message.ts';

/** Of `payload.summary`. */
const MAX_SUMMARY = 1_024;

const MAX_PLACE = 255;

const severities: Readonly<Record<string, string>> = { critical: 'critical', high: 'error', medium: 'warning' };

/** The same when it is opened and when it is resolved. PagerDuty takes 255 characters. */
const alarmIncident = (installation: string, alarm: string, opened: number): string =>
  `orgtrail ${installation} ${opened} ${alarm}`.slice(0, 255);

/** The body of a call of Events API v2: an incident is opened, or noted in the one with the same `dedup_key`. */
export const pagerdutyEvent = (outgoing: OutgoingEvent, routingKey: string, consoleUrl: string | undefined): string => {
  const { event, finding, key, text } = outgoing;
  const { title, severity, place: wholePlace, summary, link } = messageOf(outgoing, consoleUrl);
  const place = cut(wholePlace, MAX_PLACE);
  return JSON.stringify({
    routing_key: routingKey,
    event_action: finding?.alarm?.state === 'resolved' ? 'resolve' : 'trigger',
    dedup_key:
      finding?.alarm === undefined ? key : alarmIncident(event.sourceId, finding.detection, finding.alarm.opened),
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
