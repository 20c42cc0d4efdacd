import type { Sink } from '../delivery.ts';
import { createMessageSink } from '../people/message-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { deliverOneByOne } from '../stream/indivisible.ts';
import { pagerdutyEvent } from './pagerduty-event.ts';
import { type PagerdutySettings, pagerdutySettings } from './settings.ts';

const checks = { credential: 'routing_key, and that it is of this region', address: 'url' };
const PATH = '/v2/enqueue';
/** Of 512 KB that PagerDuty takes. */
const MAX_BYTES = 512_000;

/** Opens incidents by Events API v2, one request for each finding. A repeat has the same `dedup_key`, and opens no second incident. */
const create = (settings: PagerdutySettings): Sink => {
  const url = `${settings.url.replace(/\/+$/, '')}${PATH}`;
  const single = createMessageSink({
    url,
    target: url,
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.routing_key],
    maxEvents: 1,
    maxBytes: MAX_BYTES,
    pauseMs: settings.pause,
    checks,
    write: (events) =>
      events.map((event) => pagerdutyEvent(event, settings.routing_key, settings.console_url)).join('\n'),
  });
  return {
    ...single,
    maxEvents: settings.batch_events,
    deliver: async ({ id, events }, signal) => {
      // If not even the first one is taken, none is: the settings may be wrong.
      const first = await single.deliver({ id, events: events.slice(0, 1) }, signal);
      if (first.kind !== 'delivered' || events.length === 1) return first;
      const rest = await deliverOneByOne(single, { id, events: events.slice(1) }, signal);
      if (rest.kind !== 'delivered') return rest;
      return { kind: 'delivered', refused: rest.refused.map(({ index, reason }) => ({ index: index + 1, reason })) };
    },
  };
};

export const pagerduty: SinkKind<typeof pagerdutySettings.settings> = { ...pagerdutySettings, create };
