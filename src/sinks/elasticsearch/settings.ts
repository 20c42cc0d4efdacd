import { z } from 'zod';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, headerSecret, jsonFormatSetting, secret } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const settings = z.strictObject({
  type: z.literal('elasticsearch'),
  ...commonSettings,
  ...httpSettings,
  /** Index or data stream. */
  index: z.string().regex(/^[^A-Z\s\\/*?"<>|,#:_+-][^A-Z\s\\/*?"<>|,#:]*$/, 'is not a valid index name'),
  format: jsonFormatSetting('ecs'),
  username: z
    .string()
    .regex(/^[^:]+$/, 'must be a name without a colon')
    .optional(),
  password: secret.optional(),
  /** In the form that `encoded` has: base64 of id and key. */
  api_key: headerSecret.optional(),
});

export type ElasticsearchSettings = z.infer<typeof settings>;

/** Of Basic authentication, as it goes over the wire. */
export const basicCredential = (username: string, password: string): string =>
  Buffer.from(`${username}:${password}`, 'utf8').toString('base64');

const contradictions = ({ api_key: apiKey, username, password }: ElasticsearchSettings): string[] => {
  const faults: string[] = [];
  if (apiKey !== undefined && (username ?? password) !== undefined) {
    faults.push('.api_key and .username are both set: set only one way of authenticating');
  }
  if ((username === undefined) !== (password === undefined)) faults.push(' needs username and password together');
  return faults;
};

const derivedSecrets = ({ api_key: apiKey, username, password }: ElasticsearchSettings): string[] => {
  if (username !== undefined && password !== undefined) return [basicCredential(username, password)];
  // It is base64 of id and key; a receiver may show either of them.
  const key = apiKey === undefined ? undefined : Buffer.from(apiKey, 'base64').toString('utf8').split(':')[1];
  return key === undefined ? [] : [key];
};

export const elasticsearchSettings = sinkKindSettings({
  settings,
  secrets: ['password', 'api_key'],
  files: ['ca_file'],
  derivedSecrets,
  contradictions,
  warnings: ({ url, password, api_key: apiKey }) =>
    (password ?? apiKey) === undefined ? [] : plainHttpWarnings(url, 'its credential'),
});
