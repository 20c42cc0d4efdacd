import { z } from 'zod';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, durationMs, headerSecret } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const settings = z.strictObject({
  type: z.literal('splunk_hec'),
  ...commonSettings,
  ...httpSettings,
  token: headerSecret,
  /** These are the token's own if they are left out. */
  index: z.string().min(1).optional(),
  host: z.string().min(1).optional(),
  source: z.string().min(1).default('orgtrail'),
  sourcetype: z.string().min(1).optional(),
  /** Whether the token has indexer acknowledgement: delivered is then what is indexed. */
  ack: z.boolean().default(false),
  /** For so long after a delivery its acknowledgement is asked for. */
  ack_timeout: durationMs('5m'),
});

export type SplunkHecSettings = z.infer<typeof settings>;

export const splunkHecSettings = sinkKindSettings({
  settings,
  secrets: ['token'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its credential'),
});
