import { z } from 'zod';
import { plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, headerSecret, maxEventBytesSetting, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const settings = z.strictObject({
  type: z.literal('panther'),
  ...commonSettings,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  gzip: z.boolean().default(true),
  /** As the source in Panther names it. */
  header: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'must be the name of a header')
    .default('x-panther-secret'),
  secret: headerSecret,
  max_event_bytes: maxEventBytesSetting(980_000),
  max_request_bytes: z.int().min(1).default(990_000),
});

export type PantherSettings = z.infer<typeof settings>;

export const pantherSettings = sinkKindSettings({
  settings,
  secrets: ['secret'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its secret'),
});
