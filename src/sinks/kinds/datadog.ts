import { z } from 'zod';
import { eventInstant } from '../../formats/format.ts';
import type { OutgoingEvent, Sink } from '../delivery.ts';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { createHttpSink } from '../http/http-sink.ts';
import {
  batchEventsSetting,
  commonSettings,
  headerSecret,
  maxAgeSetting,
  maxEventBytesSetting,
  type SinkKind,
  sinkKindSettings,
  startSetting,
} from '../sink-kind.ts';

const checks = { credential: 'api_key, and that it is one of this site', address: 'site and url' };

/** Logs intake, version 2. Datadog does not look for repeats: they show by the attribute `key`. */
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

/** `message` is a string, which Datadog parses if it is JSON. */
const itemWriter = ({ source, service, tags }: DatadogSettings): ((event: OutgoingEvent) => string) => {
  const facts = { ddsource: source, service, ...(tags !== undefined && { ddtags: tags.join(',') }) };
  const head = JSON.stringify(facts).slice(1, -1);
  return ({ event, key, text }) =>
    `{${head},"timestamp":"${eventInstant(event)}","key":${JSON.stringify(key)},"position":${event.position},"message":${JSON.stringify(text)}}`;
};

const sites = [
  'datadoghq.com',
  'us3.datadoghq.com',
  'us5.datadoghq.com',
  'datadoghq.eu',
  'ap1.datadoghq.com',
  'ap2.datadoghq.com',
  'uk1.datadoghq.com',
  'ddog-gov.com',
  'us2.ddog-gov.com',
] as const;

const settings = z.strictObject({
  type: z.literal('datadog'),
  ...commonSettings,
  ...httpSettings,
  site: z.enum(sites).default('datadoghq.com'),
  /** Replaces the site's, for a proxy. */
  url: httpSettings.url.optional(),
  api_key: headerSecret,
  source: z.string().min(1).default('cloudflare'),
  service: z.string().min(1).default('orgtrail'),
  tags: z.array(z.string().regex(/^[^,\s]+$/, 'must be without commas and spaces')).optional(),
  start: startSetting('now'),
  /** Ten minutes below the limit: a request and its repeats take time. */
  max_age: maxAgeSetting('1070m'),
  batch_events: batchEventsSetting(500, 1_000),
  max_event_bytes: maxEventBytesSetting(1_000_000),
  max_request_bytes: z.int().min(1).default(5_000_000),
});

const datadogSettings = sinkKindSettings({
  settings,
  secrets: ['api_key'],
  files: ['ca_file'],
  warnings: ({ url }) => (url === undefined ? [] : plainHttpWarnings(url, 'its key')),
});

export const datadog: SinkKind<typeof datadogSettings.settings> = { ...datadogSettings, create };

type DatadogSettings = z.infer<typeof settings>;
