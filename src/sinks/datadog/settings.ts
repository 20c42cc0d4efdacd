import { z } from 'zod';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import {
  batchEventsSetting,
  commonSettings,
  headerSecret,
  maxAgeSetting,
  maxEventBytesSetting,
  startSetting,
} from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

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
  /** In place of the site's, for a proxy. */
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

export type DatadogSettings = z.infer<typeof settings>;

export const datadogSettings = sinkKindSettings({
  settings,
  secrets: ['api_key'],
  files: ['ca_file'],
  warnings: ({ url }) => (url === undefined ? [] : plainHttpWarnings(url, 'its key')),
});
