import { z } from 'zod';
import { secretsOfAddress } from '../http/header-settings.ts';
import { plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, maxAgeSetting, maxEventBytesSetting, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const headerText = z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'must be printable ASCII');

const settings = z.strictObject({
  type: z.literal('sumo'),
  ...commonSettings,
  /** Its path is the credential. */
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  gzip: z.boolean().default(true),
  /** These are the source's own if they are left out. */
  category: headerText.optional(),
  host: headerText.optional(),
  name: headerText.optional(),
  /** A day below the limit of a year. */
  max_age: maxAgeSetting('364d'),
  max_event_bytes: maxEventBytesSetting(64_000),
  max_request_bytes: z.int().min(1).default(1_000_000),
});

export type SumoSettings = z.infer<typeof settings>;

export const sumoSettings = sinkKindSettings({
  settings,
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: ({ url }) => secretsOfAddress(url),
  warnings: ({ url }) => plainHttpWarnings(url, 'its address, which is the credential,'),
});
