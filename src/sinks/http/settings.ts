import { z } from 'zod';
import { commonSettings, headerSecret, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';
import { headersSetting, secretsOfAddress, secretsOfHeaders } from './header-settings.ts';
import { plainHttpWarnings } from './http-settings.ts';
import { bodies } from './http-sink.ts';

const settings = z.strictObject({
  type: z.literal('http'),
  ...commonSettings,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  gzip: z.boolean().default(true),
  method: z.enum(['POST', 'PUT']).default('POST'),
  headers: headersSetting,
  /** For `Authorization: Bearer`. */
  token: headerSecret.optional(),
  body: z.enum(bodies).default('ndjson'),
  /** Of a body before it is packed. */
  max_request_bytes: z.int().min(1).optional(),
});

export type HttpSettings = z.infer<typeof settings>;

export const plainHttpSinkSettings = sinkKindSettings({
  settings,
  secrets: ['headers', 'token'],
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: ({ url, headers }) => [...secretsOfHeaders(headers), ...secretsOfAddress(url)],
  contradictions: ({ token, headers }) =>
    token !== undefined && headers['authorization'] !== undefined
      ? ['.token and .headers.authorization are both set: set only one']
      : [],
  warnings: ({ url }) => plainHttpWarnings(url, 'its headers and events'),
});
