import { z } from 'zod';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import {
  batchEventsSetting,
  commonSettings,
  maxAgeSetting,
  maxEventBytesSetting,
  secret,
  startSetting,
} from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

/** Azure's clouds: where tokens come from, and what they are for. */
export const clouds = {
  public: { authority: 'https://login.microsoftonline.com', scope: 'https://monitor.azure.com/.default' },
  usgovernment: { authority: 'https://login.microsoftonline.us', scope: 'https://monitor.azure.us/.default' },
  china: { authority: 'https://login.chinacloudapi.cn', scope: 'https://monitor.azure.cn/.default' },
} as const;

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/, 'must be an id');

const settings = z.strictObject({
  type: z.literal('sentinel'),
  ...commonSettings,
  ...httpSettings,
  /** Immutable id of the data collection rule. */
  rule: z.string().regex(/^dcr-[A-Za-z0-9]+$/, 'must be the immutable id of a data collection rule, as dcr-…'),
  stream: z
    .string()
    .regex(/^(Custom|Microsoft)-[A-Za-z0-9_-]+$/, 'must be the name of a stream, as Custom-…')
    .default('Custom-CloudflareAudit'),
  /** Without a secret, the managed identity of the machine is used: that of `client_id`, if it has several. */
  tenant_id: id.optional(),
  client_id: id.optional(),
  client_secret: secret.optional(),
  cloud: z.enum(['public', 'usgovernment', 'china']).default('public'),
  /** In place of the cloud's, for a cloud of one's own. */
  authority: z
    .url({ protocol: /^https$/ })
    .transform((text) => new URL(text).origin)
    .optional(),
  start: startSetting('now'),
  /** Ten minutes below the limit: a request and its repeats take time. */
  max_age: maxAgeSetting('2870m'),
  batch_events: batchEventsSetting(200, 1_000),
  /** Of the column `Event`. */
  max_event_bytes: maxEventBytesSetting(65_536),
  max_request_bytes: z.int().min(1).default(1_000_000),
});

export type SentinelSettings = z.infer<typeof settings>;

const contradictionsOf = ({ client_secret, client_id, tenant_id }: SentinelSettings): string[] => {
  if (client_secret === undefined) return tenant_id === undefined ? [] : [' needs .client_secret beside .tenant_id'];
  return [
    ...(tenant_id === undefined ? [' needs .tenant_id beside .client_secret'] : []),
    ...(client_id === undefined ? [' needs .client_id beside .client_secret'] : []),
  ];
};

export const sentinelSettings = sinkKindSettings({
  settings,
  secrets: ['client_secret'],
  files: ['ca_file'],
  contradictions: contradictionsOf,
  warnings: ({ url }) => plainHttpWarnings(url, 'its token'),
});
