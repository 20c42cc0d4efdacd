import { z } from 'zod';
import { receivedInstant } from '../../formats/format.ts';
import { cut } from '../../formats/text.ts';
import {
  createMessageSink,
  messageOf,
  pauseSetting,
  peopleContradictions,
  peopleSettings,
  peopleWarnings,
} from '../chat.ts';
import type { OutgoingEvent, Sink } from '../delivery.ts';
import { deliverOneByOne } from '../delivery-decision.ts';
import { httpSettings } from '../http/http-settings.ts';
import { batchEventsSetting, headerSecret, minSeveritySetting, sinkKind } from '../sink-kind.ts';

const checks = { credential: 'routing_key, and that it is of this region', address: 'url' };
const PATH = '/v2/enqueue';
/** PagerDuty takes 512 KB. */
const MAX_BYTES = 512_000;

/** Events API v2, one request per finding. A repeat has the same `dedup_key` and opens no second incident. */
const create = (settings: PagerdutySettings): Sink => {
  const url = `${settings.url.replace(/\/+$/, '')}${PATH}`;
  const single = createMessageSink(settings, {
    url,
    target: url,
    secrets: [settings.routing_key],
    maxEvents: 1,
    maxBytes: MAX_BYTES,
    checks,
    write: (events) =>
      events.map((event) => pagerdutyEvent(event, settings.routing_key, settings.console_url)).join('\n'),
  });
  return {
    ...single,
    maxEvents: settings.batch_events,
    deliver: async ({ id, events }, signal) => {
      // If not even the first is taken, the settings may be wrong.
      const first = await single.deliver({ id, events: events.slice(0, 1) }, signal);
      if (first.kind !== 'delivered' || events.length === 1) return first;
      const rest = await deliverOneByOne(single, { id, events: events.slice(1) }, signal);
      if (rest.kind !== 'delivered') return rest;
      return { kind: 'delivered', refused: rest.refused.map(({ index, reason }) => ({ index: index + 1, reason })) };
    },
  };
};

const settings = z.strictObject({
  type: z.literal('pagerduty'),
  ...peopleSettings,
  /** Of the region, or a proxy. */
  url: httpSettings.url.default('https://events.pagerduty.com'),
  /** Of an integration "Events API v2". */
  routing_key: headerSecret,
  /** Someone is woken. */
  min_severity: minSeveritySetting('high'),
  batch_events: batchEventsSetting(1, 100),
  pause: pauseSetting('1s'),
});

export const pagerduty = sinkKind({
  settings,
  secrets: ['routing_key'],
  files: ['ca_file'],
  contradictions: peopleContradictions,
  warnings: ({ url }) => peopleWarnings(url),
  create,
});

const pagerdutyEvent = (outgoing: OutgoingEvent, routingKey: string, consoleUrl: string | undefined): string => {
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

const MAX_PLACE = 255;

/** The same when opened and resolved. PagerDuty takes 255 characters. */
const alarmIncident = (installation: string, alarm: string, opened: number): string =>
  `orgtrail ${installation} ${opened} ${alarm}`.slice(0, 255);

const MAX_SUMMARY = 1_024;
const severities: Readonly<Record<string, string>> = { critical: 'critical', high: 'error', medium: 'warning' };
type PagerdutySettings = z.infer<typeof settings>;
