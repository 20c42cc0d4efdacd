import { z } from 'zod';
import { parseArchive, tableBaseFault } from '../../archive/store.ts';
import { parseAnchors } from '../../evidence/anchor.ts';
import { faultOfBase } from '../../evidence/notes/checkpoint.ts';
import { tickIntervalMs } from '../../ingest/sync/daemon.ts';
import { databaseUrlFault } from '../../postgres/database-url.ts';
import {
  accountsWanted,
  DAY_MS,
  daysOr,
  duration,
  HOUR_MS,
  history,
  httpUrl,
  oneOf,
  optionalText,
  orFault,
  organizationIds,
  parseProxies,
  SECOND_MS,
  s3Key,
  setting,
  settleDelays,
  share,
  sourceKinds,
  textWithout,
  wholeNumber,
} from './setting-types.ts';

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const sinksExample = `
  siem:
    type: splunk_hec
    url: https://splunk.example.com:8088
    token_file: /run/secrets/splunk-token
  archive:
    type: file
    path: /var/lib/orgtrail/events.ndjson
  lake:
    type: s3
    endpoint: https://ACCOUNT_ID.r2.cloudflarestorage.com
    bucket: audit
    prefix: cloudflare
    format: logpush
    access_key_id_file: /run/secrets/r2-key-id
    secret_access_key_file: /run/secrets/r2-secret
  security:
    type: slack
    webhook_url_file: /run/secrets/slack-webhook`;

const credentialsExample = `
    acme:
      token_file: /run/secrets/acme-token
      accounts: [0a1b2c3d4e5f60718293a4b5c6d7e8f9]`;

/** How a value is written in the YAML file; as a variable each of them is text. Default: `text`. */
export type Form = 'text' | 'number' | 'list' | 'filters' | 'sinks' | 'credentials';

interface Declared {
  /** Undefined: it has a reader of its own. */
  readonly type?: z.ZodType;
  readonly form?: Form;
  readonly means: string;
  readonly example?: string;
}

/** Every setting, in the documented order. */
const declared = {
  CLOUDFLARE_API_TOKEN: { means: "A user's API token; or email and api_key.", example: 'the-token' },
  CLOUDFLARE_EMAIL: { means: 'The email address of the account.', example: 'admin@example.com' },
  CLOUDFLARE_API_KEY: { means: 'The Global API Key of that account.', example: 'the-key' },
  CLOUDFLARE_CREDENTIALS: {
    form: 'credentials',
    means: 'Further credentials, by name; the file may be a directory with a file for each: docs/accounts.md.',
    example: credentialsExample,
  },
  CLOUDFLARE_BASE_URL: {
    type: setting('https://api.cloudflare.com/client/v4', 'an http or https URL and no more', httpUrl),
    means: 'Base URL of the API.',
  },
  DATABASE_URL: {
    type: textWithout(databaseUrlFault),
    means: 'PostgreSQL; without it an embedded one is used.',
    example: 'postgres://orgtrail:PASSWORD@db.example.com:5432/orgtrail?sslmode=verify-full',
  },
  ORGTRAIL_DATA_DIR: {
    type: z.string().default('./data'),
    means: 'Directory for the data of the embedded PostgreSQL.',
  },
  ORGTRAIL_SCHEDULE: {
    type: setting('*/30 * * * * *', 'a cron pattern with seconds such as "*/30 * * * * *"', (text) =>
      tickIntervalMs(text) === undefined ? undefined : text,
    ),
    means: 'Cron pattern with seconds: when to look for new events.',
  },
  ORGTRAIL_HISTORY: {
    type: setting('548d', 'a duration such as 548d, or a date such as 2025-06-01', history),
    means: 'How far back to read: a duration or a date. With ORGTRAIL_RETENTION alone, no further than that.',
  },
  ORGTRAIL_RETENTION: {
    type: setting('forever', 'a duration of at least 1d such as 730d, or "forever"', daysOr('forever')),
    means:
      'Whole months of events that are older are dropped: 730d, or forever. With ORGTRAIL_ARCHIVE they go there first.',
  },
  ORGTRAIL_ARCHIVE: {
    type: orFault(parseArchive),
    means: 'Where closed months are kept as Parquet, object storage or a directory: docs/archive.md.',
    example: 's3://audit-archive/orgtrail?region=eu-central-1',
  },
  ORGTRAIL_ARCHIVE_AFTER: {
    type: setting('7d', 'a duration of at least 1d such as 7d, or "never"', daysOr('never')),
    means: 'How long a month must be over, and without a new entry, before it is archived: 7d, or never.',
  },
  ORGTRAIL_ARCHIVE_PARQUET: {
    type: setting('2', '1 or 2', (text) => ([1, 2] as const).find((each) => String(each) === text)),
    form: 'number',
    means: 'The version of the encodings of objects that are written: 1 for readers that refuse 2, up to 6 % larger.',
  },
  ORGTRAIL_THAW_MAX_GB: {
    type: wholeNumber('50', 0, 1_000_000),
    form: 'number',
    means: 'GB that thawed months may take.',
  },
  ORGTRAIL_ARCHIVE_TABLE_BASE: {
    type: textWithout(tableBaseFault),
    means: 'How other engines name the address of the archive, for the Iceberg table: docs/lake.md.',
    example: 'gs://audit-archive/orgtrail',
  },
  ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: {
    type: s3Key,
    means: 'The access key of that bucket; without it, what Amazon gives the machine or the container.',
    example: 'the-access-key',
  },
  ORGTRAIL_ARCHIVE_S3_SECRET_KEY: { type: s3Key, means: 'The secret key of that.', example: 'the-secret-key' },
  ORGTRAIL_SETTLE: {
    type: setting('10m,24h,7d,30d', 'increasing durations of at least 1s such as "10m,24h", or "none"', settleDelays),
    form: 'list',
    means: 'When the same time is read again for late entries; or none.',
  },
  ORGTRAIL_ORGANIZATIONS: {
    type: setting('', 'organization ids, separated by commas', organizationIds),
    form: 'list',
    means: 'Ids of organizations; without it, all.',
    example: '[019c4f65e7607d8c9f6f6b58aa3aff50]',
  },
  ORGTRAIL_GEOIP: {
    type: setting('', 'files, separated by commas', (text) => text.split(',').flatMap((path) => path.trim() || [])),
    form: 'list',
    means: 'Files of country and network owner of addresses (.mmdb): docs/places.md.',
    example: '[/var/lib/geoip/GeoLite2-Country.mmdb, /var/lib/geoip/GeoLite2-ASN.mmdb]',
  },
  ORGTRAIL_FILTERS: {
    form: 'filters',
    means:
      'Collect only matching entries; the names are those of the API. Write values as they are, without %2B and the like.',
    example: '[action_type.not=view, actor_email.not=bot@example.com]',
  },
  ORGTRAIL_FILTERS_ORGANIZATIONS: {
    form: 'filters',
    means: 'Filters of the logs of organizations, instead of the filters of all.',
    example: '[action_type.not=view]',
  },
  ORGTRAIL_FILTERS_ACCOUNTS: {
    form: 'filters',
    means: 'Filters of the logs of accounts, instead of the filters of all.',
    example: '[resource_scope.not=user]',
  },
  ORGTRAIL_SOURCES: {
    type: setting('organizations,accounts', '"organizations", "accounts", or both with a comma between', sourceKinds),
    form: 'list',
    means: 'Which logs are read: organizations, accounts, or both.',
  },
  ORGTRAIL_ACCOUNTS: {
    type: setting('all', '"all", "organizations", or account ids, separated by commas', accountsWanted),
    form: 'list',
    means: 'all: those that listings show; organizations: those of the organizations that are read; or ids.',
  },
  ORGTRAIL_API_BUDGET: {
    type: wholeNumber('900', 10, 1_000_000_000),
    form: 'number',
    means: 'Requests in any 5 minutes of one user, of all replicas together.',
  },
  ORGTRAIL_FAST_PATH: {
    type: setting('on', '"on" or "off"', (text) => (text === 'on' || text === 'off' ? text === 'on' : undefined)),
    means: 'off parses pages without the fast path: slower, with the same result.',
  },
  ORGTRAIL_SCRUB_SHARE: {
    type: setting('5%', 'a share of the API budget from 0 to 50% such as 5%', share),
    means: 'The share of the budget for reading all of history again; 0 is off.',
  },
  ORGTRAIL_SCRUB_EVERY: {
    type: duration('7d', 'a duration of at least 1s such as 7d', SECOND_MS),
    means: 'Minimum time between the starts of two rounds of that.',
  },
  ORGTRAIL_CONCURRENCY: { type: wholeNumber('16', 1, 64), form: 'number', means: 'Organizations read at once.' },
  ORGTRAIL_LEASE: {
    type: duration('30s', 'a duration from 1s to 10m', SECOND_MS, 600 * SECOND_MS),
    means: 'How long a replica that died keeps its organizations.',
  },
  ORGTRAIL_HTTP_HOST: {
    type: z.string().default('127.0.0.1'),
    means: 'The address that the console, the API, health and metrics are served on.',
  },
  ORGTRAIL_HTTP_PORT: { type: wholeNumber('8080', 0, 65_535), form: 'number', means: 'Its port; 0 is any free one.' },
  ORGTRAIL_FEED_TOKEN: {
    type: z.string().min(16, 'must have at least 16 characters: `openssl rand -hex 32` makes one').optional(),
    means: 'A token with every scope, of 16 characters or more.',
    example: 'made-by-openssl-rand-hex-32',
  },
  ORGTRAIL_URL: {
    type: optionalText,
    means: 'The daemon that commands with --url ask instead of a database.',
    example: 'https://orgtrail.example.com',
  },
  ORGTRAIL_HEALTH_ACCESS: {
    type: oneOf('open', '"open" or "token"', ['open', 'token']),
    means: 'Whether /healthz and /metrics need a token: open or token.',
  },
  ORGTRAIL_TRUSTED_PROXIES: {
    type: setting('', 'addresses or subnets of proxies such as "10.0.0.5, 10.1.0.0/16"', parseProxies),
    form: 'list',
    means: 'Proxies whose X-Forwarded headers are believed: addresses and subnets.',
    example: '[10.0.0.5, 10.1.0.0/16]',
  },
  ORGTRAIL_STALL_TIMEOUT: {
    type: duration('60s', 'a duration from 1s to 1h', SECOND_MS, HOUR_MS),
    means: 'Cut off a response after its reader has taken nothing for this long.',
  },
  ORGTRAIL_SINKS: {
    type: optionalText,
    form: 'sinks',
    means: 'Receivers that events are pushed to, by name: docs/sinks.md.',
    example: sinksExample,
  },
  ORGTRAIL_EVIDENCE_ORIGIN: {
    type: textWithout(faultOfBase),
    means: 'Builds a signed Merkle log of what is stored, named so: where it is served, without the scheme.',
    example: 'audit.example.com/evidence',
  },
  ORGTRAIL_EVIDENCE_KEY_FILE: {
    type: optionalText,
    means: 'The file of the key that signs it, Ed25519 in PEM; of the public key if a command signs.',
    example: '/run/secrets/evidence-key.pem',
  },
  ORGTRAIL_EVIDENCE_SIGNER: {
    type: optionalText,
    means: 'A command that signs instead: the text on stdin, 64 bytes on stdout.',
    example: 'sign-with-kms',
  },
  ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: {
    type: optionalText,
    means:
      'The key that is to follow, or has followed, as ORGTRAIL_EVIDENCE_KEY_FILE: the log says which of them signs.',
    example: '/run/secrets/evidence-key-2.pem',
  },
  ORGTRAIL_EVIDENCE_NEXT_SIGNER: {
    type: optionalText,
    means: 'A command that signs with the next key instead, as ORGTRAIL_EVIDENCE_SIGNER.',
    example: 'sign-with-kms --key 2',
  },
  ORGTRAIL_EVIDENCE_ANCHORS: {
    type: orFault(parseAnchors),
    form: 'list',
    means:
      'Where signed checkpoints are kept outside the database: directories, object storage, witnesses; docs/evidence.md.',
    example: '[file:/mnt/worm/orgtrail]',
  },
  ORGTRAIL_EVIDENCE_S3_ACCESS_KEY: {
    type: s3Key,
    means: 'The access key of s3 anchors; without it, what Amazon gives the machine or the container.',
    example: 'the-access-key',
  },
  ORGTRAIL_EVIDENCE_S3_SECRET_KEY: { type: s3Key, means: 'The secret key of that.', example: 'the-secret-key' },
  ORGTRAIL_EVIDENCE_INTERVAL: {
    type: duration('10s', 'a duration from 1s to 1h', SECOND_MS, HOUR_MS),
    means: 'How often a checkpoint is signed while there are new events.',
  },
  ORGTRAIL_EVIDENCE_STATEMENTS: {
    type: duration('24h', 'a duration from 1m to 90d', 60 * SECOND_MS, 90 * DAY_MS),
    means: 'How often the evidence states what is covered of each source.',
  },
  ORGTRAIL_LOG_LEVEL: {
    type: setting('info', `one of ${logLevels.join(', ')}`, (text) =>
      logLevels.find((level) => level === text.toLowerCase()),
    ),
    means: 'fatal, error, warn, info, debug, trace or silent; for sync it is warn.',
  },
  ORGTRAIL_LOG_FORMAT: {
    type: oneOf('', '"json" or "pretty"', ['', 'json', 'pretty']),
    means: 'json, or pretty, which it is on a terminal.',
    example: 'json',
  },
} satisfies Record<string, Declared>;

export type SettingName = keyof typeof declared;
type CheckedName = { [N in SettingName]: (typeof declared)[N] extends { type: z.ZodType } ? N : never }[SettingName];

export const settingsList: Readonly<Record<SettingName, Declared>> = declared;

export const environmentSchema = z.object(
  Object.fromEntries(
    Object.entries<Declared>(declared).flatMap(([name, { type }]) => (type === undefined ? [] : [[name, type]])),
  ) as { [N in CheckedName]: (typeof declared)[N]['type'] },
);

export type Settings = z.infer<typeof environmentSchema>;

/** Undefined: there is no default. */
export const settingDefaults = (): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(
    Object.entries(z.toJSONSchema(environmentSchema, { io: 'input' }).properties ?? {}).map(([name, property]) => [
      name,
      typeof property === 'object' && typeof property.default === 'string' && property.default !== ''
        ? property.default
        : undefined,
    ]),
  );
