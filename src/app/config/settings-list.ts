import { OrgtrailError } from '../../base/errors.ts';
import { nearest } from '../../base/text.ts';
import type { Settings } from './environment-schema.ts';
import { namesWithFile } from './secret-settings.ts';

/** How a value is written in the YAML file; as a variable each of them is text. */
type Form = 'text' | 'number' | 'list' | 'filters' | 'sinks' | 'credentials';

interface ListedSetting {
  readonly form: Form;
  readonly means: string;
  /** In YAML, if there is no default. */
  readonly example?: string;
}

type FilterSetting = 'ORGTRAIL_FILTERS' | 'ORGTRAIL_FILTERS_ORGANIZATIONS' | 'ORGTRAIL_FILTERS_ACCOUNTS';

type OtherSetting =
  | 'CLOUDFLARE_API_TOKEN'
  | 'CLOUDFLARE_EMAIL'
  | 'CLOUDFLARE_API_KEY'
  | 'CLOUDFLARE_CREDENTIALS'
  | FilterSetting;
export type SettingName = keyof Settings | OtherSetting;

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

const sinksMean = 'Receivers that events are pushed to, by name: docs/sinks.md.';

/** In the order of the documented example. A setting without a line does not compile. */
export const settingsList: Readonly<Record<SettingName, ListedSetting>> = {
  CLOUDFLARE_API_TOKEN: { form: 'text', means: "A user's API token; or email and api_key.", example: 'the-token' },
  CLOUDFLARE_EMAIL: { form: 'text', means: 'The email address of the account.', example: 'admin@example.com' },
  CLOUDFLARE_API_KEY: { form: 'text', means: 'The Global API Key of that account.', example: 'the-key' },
  CLOUDFLARE_CREDENTIALS: {
    form: 'credentials',
    means: 'Further credentials, by name: docs/accounts.md.',
    example: credentialsExample,
  },
  CLOUDFLARE_BASE_URL: { form: 'text', means: 'Base URL of the API.' },
  DATABASE_URL: {
    form: 'text',
    means: 'PostgreSQL; without it an embedded one is used.',
    example: 'postgres://orgtrail:PASSWORD@db.example.com:5432/orgtrail?sslmode=verify-full',
  },
  ORGTRAIL_DATA_DIR: { form: 'text', means: 'Directory for the data of the embedded PostgreSQL.' },
  ORGTRAIL_SCHEDULE: { form: 'text', means: 'Cron pattern with seconds: when to look for new events.' },
  ORGTRAIL_HISTORY: {
    form: 'text',
    means: 'How far back to read: a duration or a date. With ORGTRAIL_RETENTION alone, no further than that.',
  },
  ORGTRAIL_RETENTION: {
    form: 'text',
    means:
      'Whole months of events that are older are dropped: 730d, or forever. With ORGTRAIL_ARCHIVE they go there first.',
  },
  ORGTRAIL_ARCHIVE: {
    form: 'text',
    means: 'Where each month is kept as Parquet before it is dropped, object storage or a directory: docs/archive.md.',
    example: 's3://audit-archive/orgtrail?region=eu-central-1',
  },
  ORGTRAIL_ARCHIVE_PARQUET: {
    form: 'number',
    means: 'The version of the encodings of objects that are written: 1 for readers that refuse 2, up to 6 % larger.',
  },
  ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: {
    form: 'text',
    means: 'The access key of that bucket; without it, what Amazon gives the machine or the container.',
    example: 'the-access-key',
  },
  ORGTRAIL_ARCHIVE_S3_SECRET_KEY: { form: 'text', means: 'The secret key of that.', example: 'the-secret-key' },
  ORGTRAIL_SETTLE: { form: 'list', means: 'When the same time is read again for late entries; or none.' },
  ORGTRAIL_ORGANIZATIONS: {
    form: 'list',
    means: 'Ids of organizations; without it, all.',
    example: '[019c4f65e7607d8c9f6f6b58aa3aff50]',
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
  ORGTRAIL_SOURCES: { form: 'list', means: 'Which logs are read: organizations, accounts, or both.' },
  ORGTRAIL_ACCOUNTS: {
    form: 'list',
    means: 'all: those that listings show; organizations: those of the organizations that are read; or ids.',
  },
  ORGTRAIL_API_BUDGET: { form: 'number', means: 'Requests in any 5 minutes of one user, of all replicas together.' },
  ORGTRAIL_FAST_PATH: {
    form: 'text',
    means: 'off parses pages without the fast path: slower, with the same result.',
  },
  ORGTRAIL_SCRUB_SHARE: { form: 'text', means: 'The share of the budget for reading all of history again; 0 is off.' },
  ORGTRAIL_SCRUB_EVERY: { form: 'text', means: 'Minimum time between the starts of two rounds of that.' },
  ORGTRAIL_CONCURRENCY: { form: 'number', means: 'Organizations read at once.' },
  ORGTRAIL_LEASE: { form: 'text', means: 'How long a replica that died keeps its organizations.' },
  ORGTRAIL_HTTP_HOST: {
    form: 'text',
    means: 'The address that the console, the API, health and metrics are served on.',
  },
  ORGTRAIL_HTTP_PORT: { form: 'number', means: 'Its port; 0 is any free one.' },
  ORGTRAIL_FEED_TOKEN: {
    form: 'text',
    means: 'A token with every scope, of 16 characters or more.',
    example: 'made-by-openssl-rand-hex-32',
  },
  ORGTRAIL_HEALTH_ACCESS: { form: 'text', means: 'Whether /healthz and /metrics need a token: open or token.' },
  ORGTRAIL_TRUSTED_PROXIES: {
    form: 'list',
    means: 'Proxies whose X-Forwarded headers are believed: addresses and subnets.',
    example: '[10.0.0.5, 10.1.0.0/16]',
  },
  ORGTRAIL_STALL_TIMEOUT: {
    form: 'text',
    means: 'Cut off a response after its reader has taken nothing for this long.',
  },
  ORGTRAIL_SINKS: { form: 'sinks', means: sinksMean, example: sinksExample },
  ORGTRAIL_EVIDENCE_ORIGIN: {
    form: 'text',
    means: 'Builds a signed Merkle log of what is stored, named so: where it is served, without the scheme.',
    example: 'audit.example.com/evidence',
  },
  ORGTRAIL_EVIDENCE_KEY_FILE: {
    form: 'text',
    means: 'The file of the key that signs it, Ed25519 in PEM; of the public key if a command signs.',
    example: '/run/secrets/evidence-key.pem',
  },
  ORGTRAIL_EVIDENCE_SIGNER: {
    form: 'text',
    means: 'A command that signs instead: the text on stdin, 64 bytes on stdout.',
    example: 'sign-with-kms',
  },
  ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: {
    form: 'text',
    means:
      'The key that is to follow, or has followed, as ORGTRAIL_EVIDENCE_KEY_FILE: the journal says which of them sign.',
    example: '/run/secrets/evidence-key-2.pem',
  },
  ORGTRAIL_EVIDENCE_NEXT_SIGNER: {
    form: 'text',
    means: 'A command that signs with the next key instead, as ORGTRAIL_EVIDENCE_SIGNER.',
    example: 'sign-with-kms --key 2',
  },
  ORGTRAIL_EVIDENCE_ANCHORS: {
    form: 'list',
    means:
      'Where signed checkpoints are kept outside the database: directories, object storage, witnesses, time stamps; docs/evidence.md.',
    example: '[file:/mnt/worm/orgtrail]',
  },
  ORGTRAIL_EVIDENCE_S3_ACCESS_KEY: {
    form: 'text',
    means: 'The access key of s3 anchors; without it, what Amazon gives the machine or the container.',
    example: 'the-access-key',
  },
  ORGTRAIL_EVIDENCE_S3_SECRET_KEY: { form: 'text', means: 'The secret key of that.', example: 'the-secret-key' },
  ORGTRAIL_EVIDENCE_INTERVAL: { form: 'text', means: 'How often a checkpoint is signed while there are new events.' },
  ORGTRAIL_EVIDENCE_STATEMENTS: {
    form: 'text',
    means: 'How often the journal of the evidence states what is covered of each source.',
  },
  ORGTRAIL_LOG_LEVEL: { form: 'text', means: 'fatal, error, warn, info, debug, trace or silent; for sync it is warn.' },
  ORGTRAIL_LOG_FORMAT: { form: 'text', means: 'json, or pretty, which it is on a terminal.', example: 'json' },
};

export const settingNames: readonly SettingName[] = Object.keys(settingsList) as SettingName[];

/** In the YAML file: `api_budget` for ORGTRAIL_API_BUDGET, `cloudflare.api_token` for CLOUDFLARE_API_TOKEN. */
export const keyOf = (name: string): string =>
  name.startsWith('ORGTRAIL_') ? name.slice('ORGTRAIL_'.length).toLowerCase() : name.toLowerCase().replace('_', '.');

export const formOf = (name: string): Form => settingsList[name as SettingName]?.form ?? 'text';

export const settingsByKey: ReadonlyMap<string, string> = new Map(
  [...settingNames, ...namesWithFile.map((name) => `${name}_FILE`)].map((name) => [keyOf(name), name]),
);
/** Keys that have further keys below them. */
export const settingGroups: ReadonlySet<string> = new Set(
  [...settingsByKey.keys()].flatMap((key) => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : [])),
);

/** Counted from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The message holds no secret. */
export interface Fault {
  readonly message: string;
  readonly place?: Place | undefined;
}

/** By the name of a setting, and below it by path: `ORGTRAIL_SINKS.siem.url`. */
export type Places = ReadonlyMap<string, Place>;

export const describePlace = ({ file, line, column }: Place): string => `${file}:${line}:${column}`;

export const describeFault = ({ message, place }: Fault): string =>
  place === undefined ? message : `${describePlace(place)}: ${message}`;

/** First those without a place, then from the top of the file on. */
export const inOrder = (faults: readonly Fault[]): readonly Fault[] =>
  faults.toSorted(
    ({ place: a }, { place: b }) => (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0),
  );

/** Gives a message that names variables the place of the first that is in the file, and the keys that they have there. */
export const locateFault = (message: string, places: Places): Fault => {
  const paths = [...message.matchAll(NAMES)].map(([path]) => path.split('.'));
  const candidates = paths.flatMap((path) => path.flatMap((_, index) => pathsTo(path.slice(0, path.length - index))));
  const place = candidates.map((candidate) => places.get(candidate)).find((found) => found !== undefined);
  const named = message.replace(NAMES, (path) => {
    const [name = '', ...below] = path.split('.');
    return pathsTo([name]).some((candidate) => places.has(candidate)) ? [keyOf(name), ...below].join('.') : path;
  });
  return { message: named, place };
};

const NAMES = /\b(?:ORGTRAIL|CLOUDFLARE|DATABASE)_[A-Z_]+(?:\.[\w-]+)*/g;

/** A secret that comes from a file has the place at which that file is named. */
const pathsTo = (path: readonly string[]): string[] => [
  path.join('.'),
  `${path.join('.')}_${path.length > 1 ? 'file' : 'FILE'}`,
];

export const configurationError = (faults: readonly string[]): OrgtrailError =>
  new OrgtrailError(
    'configuration',
    `${faults.length === 1 ? 'configuration error' : `${faults.length} configuration errors`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    {
      hint: 'settings come from the environment, from .env and from the file of ORGTRAIL_CONFIG; docs/reference/settings.md lists them all',
    },
  );

/** Of deploy/compose, which hands its `.env` on to the daemon. */
const composeSettings = [
  'ORGTRAIL_ANCHOR_DIRECTORY',
  'ORGTRAIL_IMAGE',
  'ORGTRAIL_PORT',
  'ORGTRAIL_SIMULATE',
  'ORGTRAIL_VERSION',
];

const knownSettings: ReadonlySet<string> = new Set([
  'ORGTRAIL_CONFIG',
  ...settingNames,
  ...namesWithFile.map((name) => `${name}_FILE`),
  ...composeSettings,
]);

/** Probably misspellings. Never shows a value. */
export const unknownSettings = (names: readonly string[]): readonly string[] =>
  names
    .filter((name) => name.startsWith('ORGTRAIL_') && !knownSettings.has(name))
    .map((name) => `${name} is not a setting${suggestion(name)}`);

const suggestion = (name: string): string => {
  const setting = name.replace(/_FILE$/, '');
  if (setting !== name && knownSettings.has(setting)) return `: ${setting} cannot be read from a file`;
  const [near] = nearest(name, knownSettings, 1);
  return near === undefined ? ' and is ignored' : `; did you mean ${near}?`;
};
