import { z } from 'zod';
import { formats } from '../formats/formats.ts';
import { parseDurationMs } from '../time/duration.ts';

// Secrets of a sink may also come from a file: `token_file` in place of `token`. sink-config.ts puts in what it holds.

/** How the secret of a webhook is made. */
export const makeWebhookSecret = '`echo "whsec_$(openssl rand -base64 32)"` makes one';

const formatName = z.enum(Object.keys(formats) as [keyof typeof formats]);
const secret = z.string().trim().min(1);
/** One that is sent in a header as it is. The message shows none of it. */
const headerSecret = secret.regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces');

const durationMs = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue) => {
      const ms = parseDurationMs(text);
      if (ms === undefined || ms < 1_000) issue.addIssue({ code: 'custom', message: 'must be a duration such as 30s' });
      return ms ?? 0;
    });

/** Nothing but scheme, host, port and path: a password in a URL would end up in logs. */
const urlOf = (...protocols: readonly string[]) =>
  z.string().superRefine((text, issue) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const plain = url !== undefined && protocols.includes(url.protocol) && url.username === '' && url.password === '';
    if (!plain)
      issue.addIssue({ code: 'custom', message: `must be a URL with ${protocols.join(' or ')} and no password` });
  });

const common = {
  /** Where a new sink begins: with all that is stored, or with what comes next. */
  start: z.enum(['beginning', 'now']).default('beginning'),
  /** Only these organizations; all without it. */
  organizations: z.array(z.string().min(1)).min(1).optional(),
  /** Most events of one delivery. */
  batch_events: z.int().min(1).max(10_000).default(500),
  timeout: durationMs('30s'),
};

/** Of a receiver whose paths the sink knows. */
const baseUrl = urlOf('https:', 'http:').refine(
  (text) => !/[?#]/.test(text),
  'must be a URL without query and fragment',
);
const http = { url: baseUrl, ca_file: z.string().optional(), gzip: z.boolean().default(true) };

const syslog = z.strictObject({
  type: z.literal('syslog'),
  ...common,
  url: urlOf('tls:', 'tcp:'),
  ca_file: z.string().optional(),
  /** Client certificate. */
  cert_file: z.string().optional(),
  key_file: z.string().optional(),
  format: formatName.default('native'),
  /** RFC 5424 facility number; 13 is log audit. */
  facility: z.int().min(0).max(23).default(13),
  hostname: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional(),
  app_name: z
    .string()
    .regex(/^[\x21-\x7e]{1,48}$/)
    .default('orgtrail'),
  /** Longer messages are a dead letter: receivers cut or split them. */
  max_message_bytes: z
    .int()
    .min(480)
    .max(64 * 1024 * 1024)
    .default(2_000_000),
  /**
   * `close`: delivered is what the receiver has read to its end, which it shows by closing, over TLS with close_notify.
   * `tcp_close`: the same without close_notify, which rsyslog's gtls driver never sends. `none`: what was sent.
   */
  confirm: z.enum(['close', 'tcp_close', 'none']).default('close'),
});

const splunkHec = z.strictObject({
  type: z.literal('splunk_hec'),
  ...common,
  ...http,
  token: headerSecret,
  format: formatName.default('native'),
  /** These are the token's own where they are left out. */
  index: z.string().min(1).optional(),
  host: z.string().min(1).optional(),
  source: z.string().min(1).default('orgtrail'),
  sourcetype: z.string().min(1).optional(),
  /** Whether the token has indexer acknowledgement: delivered is then what is indexed. */
  ack: z.boolean().default(false),
  /** For so long after a delivery its acknowledgement is asked for. */
  ack_timeout: durationMs('5m'),
});

const elasticsearch = z.strictObject({
  type: z.literal('elasticsearch'),
  ...common,
  ...http,
  /** Index or data stream. */
  index: z.string().regex(/^[^A-Z\s\\/*?"<>|,#:_+-][^A-Z\s\\/*?"<>|,#:]*$/, 'is no name of an index'),
  format: z.enum(['ecs', 'native', 'ocsf', 'logpush']).default('ecs'),
  username: z
    .string()
    .regex(/^[^:]+$/, 'must be a name without a colon')
    .optional(),
  password: secret.optional(),
  /** In the form that `encoded` has: base64 of id and key. */
  api_key: headerSecret.optional(),
});

const isWebhookSecret = (text: string): boolean => {
  const base64 = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(text)?.[1];
  const { length } = Buffer.from(base64 ?? '', 'base64');
  return length >= 24 && length <= 64;
};

const webhook = z.strictObject({
  type: z.literal('webhook'),
  ...common,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  format: formatName.default('native'),
  /** Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. */
  secret: z
    .string()
    .trim()
    .refine(isWebhookSecret, `must be whsec_ and base64 of 24 to 64 bytes: ${makeWebhookSecret}`),
});

const file = z.strictObject({
  type: z.literal('file'),
  ...common,
  path: z.string().min(1),
  format: formatName.default('native'),
  /** At this size the file is put aside and a new one begun. */
  max_bytes: z.int().min(1024).default(104_857_600),
  /** So many of the files put aside are kept; all without it. */
  keep: z.int().min(1).optional(),
});

/** What `ORGTRAIL_SINKS` says of one sink. Names and values are a contract (docs/sinks.md). */
export const sinkSettings = z.discriminatedUnion('type', [syslog, splunkHec, elasticsearch, webhook, file]);

export type SinkSettings = z.infer<typeof sinkSettings>;
/** The settings of one type of sink. */
export type SettingsOf<T extends SinkSettings['type']> = Extract<SinkSettings, { type: T }>;

/** What may stand as `NAME_file`, and must not be shown. */
export const sinkSecrets = ['token', 'password', 'api_key', 'secret'] as const;
