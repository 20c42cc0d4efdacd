import { z } from 'zod';
import { plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

/** Before the base64 of a secret. */
export const SECRET_PREFIX = 'whsec_';
const makeOne = '`echo "whsec_$(openssl rand -base64 32)"` makes one';

const isWebhookSecret = (text: string): boolean => {
  const base64 = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(text)?.[1];
  const { length } = Buffer.from(base64 ?? '', 'base64');
  return length >= 24 && length <= 64;
};

const settings = z.strictObject({
  type: z.literal('webhook'),
  ...commonSettings,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  /** Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. */
  secret: z
    .string({ error: ({ input }) => (input === undefined ? `is missing: ${makeOne}` : undefined) })
    .trim()
    .refine(isWebhookSecret, `must be whsec_ and base64 of 24 to 64 bytes: ${makeOne}`),
});

export type WebhookSettings = z.infer<typeof settings>;

export const webhookSettings = sinkKindSettings({
  settings,
  secrets: ['secret'],
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: ({ secret, url }) => {
    const { search, searchParams } = new URL(url);
    // A query often is a credential, as `?code=...`.
    return [secret.slice(SECRET_PREFIX.length), search.slice(1), ...searchParams.values()];
  },
  warnings: ({ url }) => plainHttpWarnings(url, 'what it signs'),
});
