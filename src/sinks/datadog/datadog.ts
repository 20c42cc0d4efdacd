import { eventInstant } from '../../formats/event-time.ts';
import type { OutgoingEvent, Sink } from '../delivery.ts';
import { createHttpSink } from '../http/http-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { type DatadogSettings, datadogSettings } from './settings.ts';

const checks = { credential: 'api_key, and that it is one of this site', address: 'site and url' };

/** Pushes to the logs intake of Datadog, version 2. Datadog does not look for repeats: they show by the attribute `key`. */
const create = (settings: DatadogSettings): Sink => {
  const base = settings.url ?? `https://http-intake.logs.${settings.site}`;
  const url = `${base.replace(/\/+$/, '')}/api/v2/logs`;
  return createHttpSink({
    url,
    target: url,
    headers: { 'dd-api-key': settings.api_key },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.api_key],
    gzip: settings.gzip,
    body: 'array',
    format: settings.format,
    write: itemWriter(settings),
    maxRequestBytes: settings.max_request_bytes,
    checks,
  });
};

/** The event stands in `message` as a string, which Datadog takes apart if it is JSON. */
const itemWriter = ({ source, service, tags }: DatadogSettings): ((event: OutgoingEvent) => string) => {
  const facts = { ddsource: source, service, ...(tags !== undefined && { ddtags: tags.join(',') }) };
  const head = JSON.stringify(facts).slice(1, -1);
  return ({ event, key, text }) =>
    `{${head},"timestamp":"${eventInstant(event)}","key":${JSON.stringify(key)},"position":${event.position},"message":${JSON.stringify(text)}}`;
};

export const datadog: SinkKind<typeof datadogSettings.settings> = { ...datadogSettings, create };
