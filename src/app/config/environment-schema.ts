import { isIP } from 'node:net';
import { z } from 'zod';
import { parseArchive } from '../../archive/store.ts';
import { parseDateOrInstantMs, parseDurationMs } from '../../base/time.ts';
import { parseAnchors } from '../../evidence/anchor.ts';
import { faultOfBase } from '../../evidence/notes/checkpoint.ts';
import { type Filter, parseFilters } from '../../ingest/planning/filters.ts';
import { kindOf, type SourceKindName, sourceKindNames } from '../../ingest/sources/registry.ts';
import { tickIntervalMs } from '../../ingest/sync/daemon.ts';
import { databaseUrlFault } from '../../postgres/database-url.ts';

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export type History = { readonly sinceMs: number } | { readonly durationMs: number };

const MIN_SETTLE_MS = 1_000;
const MIN_BUDGET = 10;
const MIN_RETENTION_MS = 86_400_000;
const MIN_LEASE_MS = 1_000;
const MAX_LEASE_MS = 600_000;
const MIN_STALL_MS = 1_000;
const MAX_STALL_MS = 3_600_000;
const MIN_STATEMENTS_MS = 60_000;
const MAX_STATEMENTS_MS = 90 * 86_400_000;
const MIN_SCRUB_MS = 1_000;
const MAX_SCRUB_SHARE = 0.5;

/** `parse` gives undefined for what it cannot read; `expected` says what it accepts. */
const setting = <T>(fallback: string, expected: string, parse: (text: string) => T | undefined) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue): T => {
      const value = parse(text.trim());
      if (value === undefined) {
        // What is wrong with a URL may be the password in it.
        const sent = text.includes('@') || text.includes('://') ? '' : `, not ${JSON.stringify(text)}`;
        issue.addIssue({ code: 'custom', message: `must be ${expected}${sent}` });
      }
      return value as T;
    });

const wholeNumber = (fallback: string, smallest: number, largest: number) =>
  setting(fallback, `an integer between ${smallest} and ${largest}`, (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    return value >= smallest && value <= largest ? value : undefined;
  });

const list = (text: string): string[] =>
  text
    .split(/[\s,]+/)
    .map((item) => item.trim())
    .filter((item) => item !== '');

const httpUrl = (text: string): string | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
  if (`${url.username}${url.password}${url.search}${url.hash}` !== '') return undefined;
  return text.replace(/\/+$/, '');
};

const settleDelays = (text: string): number[] | undefined => {
  if (text === 'none') return [];
  const delaysMs = list(text).map(parseDurationMs);
  const valid = delaysMs.every((delayMs, index) => {
    const before = index === 0 ? 0 : (delaysMs[index - 1] ?? 0);
    return delayMs !== undefined && delayMs >= MIN_SETTLE_MS && delayMs > before;
  });
  return valid ? (delaysMs as number[]) : undefined;
};

const history = (text: string): History | undefined => {
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined && durationMs > 0) return { durationMs };
  const sinceMs = parseDateOrInstantMs(text);
  return sinceMs === undefined ? undefined : { sinceMs };
};

const share = (text: string): number | undefined => {
  const percent = /^(\d{1,3}(?:\.\d{1,3})?)\s*%$/.exec(text)?.[1];
  const value = text === '0' ? 0 : Number(percent ?? Number.NaN) / 100;
  return value <= MAX_SCRUB_SHARE ? value : undefined;
};

const retention = (text: string): number | undefined => {
  const durationMs = text === 'forever' ? Number.POSITIVE_INFINITY : (parseDurationMs(text) ?? 0);
  return durationMs >= MIN_RETENTION_MS ? durationMs : undefined;
};

export type AccountsWanted = 'all' | 'organizations' | readonly string[];

const accountsWanted = (text: string): AccountsWanted | undefined => {
  if (text === 'all' || text === 'organizations') return text;
  const ids = organizationIds(text);
  return ids?.length ? ids : undefined;
};

const kindWords: Readonly<Record<string, SourceKindName>> = { organizations: 'organization', accounts: 'account' };

const sourceKinds = (text: string): readonly SourceKindName[] | undefined => {
  const kinds = list(text).map((word) => kindWords[word]);
  return kinds.length > 0 && !kinds.includes(undefined) ? [...new Set(kinds as SourceKindName[])] : undefined;
};

const organizationIds = (text: string): readonly string[] | undefined | null => {
  const ids = [...new Set(list(text))];
  return ids.every((id) => /^[\w-]{1,64}$/.test(id)) ? ids : undefined;
};

/** The message shows none of it. */
const s3Key = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
  .optional();

/** Undefined if one is neither an address nor a subnet. */
const parseProxies = (text: string): readonly string[] | undefined => {
  const items = text.split(/[\s,]+/).filter((item) => item !== '');
  return items.every(isAddressOrSubnet) ? items : undefined;
};

const isAddressOrSubnet = (item: string): boolean => {
  const [address = '', bits, ...more] = item.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};

export const environmentSchema = z.object({
  CLOUDFLARE_BASE_URL: setting('https://api.cloudflare.com/client/v4', 'an http or https URL and no more', httpUrl),
  DATABASE_URL: z
    .string()
    .superRefine((text, issue) => {
      const message = databaseUrlFault(text);
      if (message !== undefined) issue.addIssue({ code: 'custom', message });
    })
    .optional(),
  ORGTRAIL_DATA_DIR: z.string().default('./data'),
  ORGTRAIL_SCHEDULE: setting('*/30 * * * * *', 'a cron pattern with seconds such as "*/30 * * * * *"', (text) =>
    tickIntervalMs(text) === undefined ? undefined : text,
  ),
  ORGTRAIL_HISTORY: setting('548d', 'a duration such as 548d, or a date such as 2025-06-01', history),
  ORGTRAIL_RETENTION: setting('forever', 'a duration of at least 1d such as 730d, or "forever"', retention),
  ORGTRAIL_SETTLE: setting(
    '10m,24h,7d,30d',
    'increasing durations of at least 1s such as "10m,24h", or "none"',
    settleDelays,
  ),
  ORGTRAIL_ORGANIZATIONS: setting('', 'organization ids, separated by commas', organizationIds),
  ORGTRAIL_SOURCES: setting(
    'organizations,accounts',
    '"organizations", "accounts", or both with a comma between',
    sourceKinds,
  ),
  ORGTRAIL_ACCOUNTS: setting('all', '"all", "organizations", or account ids, separated by commas', accountsWanted),
  ORGTRAIL_API_BUDGET: wholeNumber('900', MIN_BUDGET, 1_000_000_000),
  ORGTRAIL_SCRUB_SHARE: setting('5%', 'a share of the API budget from 0 to 50% such as 5%', share),
  ORGTRAIL_SCRUB_EVERY: setting('7d', 'a duration of at least 1s such as 7d', (text) => {
    const everyMs = parseDurationMs(text);
    return everyMs !== undefined && everyMs >= MIN_SCRUB_MS ? everyMs : undefined;
  }),
  ORGTRAIL_CONCURRENCY: wholeNumber('16', 1, 64),
  ORGTRAIL_HTTP_HOST: z.string().default('127.0.0.1'),
  ORGTRAIL_HTTP_PORT: wholeNumber('8080', 0, 65_535),
  ORGTRAIL_FEED_TOKEN: z
    .string()
    .min(16, 'must have at least 16 characters: `openssl rand -hex 32` makes one')
    .optional(),
  ORGTRAIL_STALL_TIMEOUT: setting('60s', 'a duration from 1s to 1h', (text) => {
    const timeoutMs = parseDurationMs(text);
    const fits = timeoutMs !== undefined && timeoutMs >= MIN_STALL_MS && timeoutMs <= MAX_STALL_MS;
    return fits ? timeoutMs : undefined;
  }),
  ORGTRAIL_TRUSTED_PROXIES: setting(
    '',
    'addresses or subnets of proxies such as "10.0.0.5, 10.1.0.0/16"',
    parseProxies,
  ),
  ORGTRAIL_HEALTH_ACCESS: setting('open', '"open" or "token"', (text) =>
    text === 'open' || text === 'token' ? text : undefined,
  ),
  ORGTRAIL_ARCHIVE: z
    .string()
    .transform((text, issue) => {
      const target = parseArchive(text);
      if (typeof target !== 'string') return target;
      issue.addIssue({ code: 'custom', message: target });
      return z.NEVER;
    })
    .optional(),
  ORGTRAIL_ARCHIVE_PARQUET: setting('2', '1 or 2', (text) => (text === '1' ? 1 : text === '2' ? 2 : undefined)),
  ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: s3Key,
  ORGTRAIL_ARCHIVE_S3_SECRET_KEY: s3Key,
  ORGTRAIL_SINKS: z.string().optional(),
  ORGTRAIL_FAST_PATH: setting('on', '"on" or "off"', (text) =>
    text === 'on' || text === 'off' ? text === 'on' : undefined,
  ),
  ORGTRAIL_EVIDENCE_ORIGIN: z
    .string()
    .superRefine((text, issue) => {
      const message = faultOfBase(text);
      if (message !== undefined) issue.addIssue({ code: 'custom', message });
    })
    .optional(),
  ORGTRAIL_EVIDENCE_KEY_FILE: z.string().optional(),
  ORGTRAIL_EVIDENCE_SIGNER: z.string().optional(),
  ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: z.string().optional(),
  ORGTRAIL_EVIDENCE_NEXT_SIGNER: z.string().optional(),
  ORGTRAIL_EVIDENCE_INTERVAL: setting('10s', 'a duration from 1s to 1h', (text) => {
    const intervalMs = parseDurationMs(text);
    const fits = intervalMs !== undefined && intervalMs >= MIN_STALL_MS && intervalMs <= MAX_STALL_MS;
    return fits ? intervalMs : undefined;
  }),
  ORGTRAIL_EVIDENCE_ANCHORS: z
    .string()
    .transform((text, issue) => {
      const anchors = parseAnchors(text);
      if (typeof anchors !== 'string') return anchors;
      issue.addIssue({ code: 'custom', message: anchors });
      return z.NEVER;
    })
    .optional(),
  ORGTRAIL_EVIDENCE_S3_ACCESS_KEY: s3Key,
  ORGTRAIL_EVIDENCE_S3_SECRET_KEY: s3Key,
  ORGTRAIL_EVIDENCE_STATEMENTS: setting('24h', 'a duration from 1m to 90d', (text) => {
    const everyMs = parseDurationMs(text);
    const fits = everyMs !== undefined && everyMs >= MIN_STATEMENTS_MS && everyMs <= MAX_STATEMENTS_MS;
    return fits ? everyMs : undefined;
  }),
  ORGTRAIL_LEASE: setting('30s', 'a duration from 1s to 10m', (text) => {
    const leaseMs = parseDurationMs(text);
    return leaseMs !== undefined && leaseMs >= MIN_LEASE_MS && leaseMs <= MAX_LEASE_MS ? leaseMs : undefined;
  }),
  ORGTRAIL_LOG_LEVEL: setting('info', `one of ${logLevels.join(', ')}`, (text) =>
    logLevels.find((level) => level === text.toLowerCase()),
  ),
  ORGTRAIL_LOG_FORMAT: setting('', '"json" or "pretty"', (text) =>
    text === '' || text === 'json' || text === 'pretty' ? text : undefined,
  ),
});

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

/** Counts for one kind instead of ORGTRAIL_FILTERS. */
const filterSettingOf = (kind: SourceKindName): `ORGTRAIL_FILTERS_${string}` =>
  `ORGTRAIL_FILTERS_${kind.toUpperCase()}S`;

/** The own setting of each kind, else that of all. Adds to `faults`; the names must be those of every kind in force that a setting is for. */
export const readFilters = (
  env: Readonly<Record<string, string>>,
  inForce: readonly SourceKindName[],
  faults: string[],
): Readonly<Record<SourceKindName, readonly Filter[]>> => {
  const found: Partial<Record<SourceKindName, readonly Filter[]>> = {};
  // What is wrong for each kind is said once, with the names of the first.
  const said = new Map<string, string>();
  for (const kind of sourceKindNames) {
    const own = filterSettingOf(kind);
    const setting = env[own] === undefined ? 'ORGTRAIL_FILTERS' : own;
    const read = parseFilters(env[setting] ?? '', kindOf({ kind }).filters);
    found[kind] = read.filters;
    if (setting !== own && !inForce.includes(kind)) continue;
    for (const fault of read.faults) {
      const [what = fault] = fault.split(';', 1);
      if (!said.has(`${setting} ${what}`)) said.set(`${setting} ${what}`, `${setting}: ${fault}`);
    }
  }
  faults.push(...said.values());
  return found as Record<SourceKindName, readonly Filter[]>;
};
