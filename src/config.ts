import { z } from 'zod';
import type { Credential } from './cloudflare/credential.ts';
import { databaseUrlFault } from './database-url.ts';
import { formatDuration, parseDurationMs } from './domain/duration.ts';
import { type Filter, parseFilters } from './domain/filters.ts';
import { parseDateOrInstantMs } from './domain/instant.ts';
import { OrgtrailError } from './errors.ts';
import { readCredential, secretNames, withSecretFiles } from './secret-settings.ts';
import { type NamedSink, readSinks, sinkWarnings } from './sink-config.ts';
import { tickIntervalMs } from './sync/scheduler.ts';
import { parseProxies } from './trusted-proxies.ts';

/** Everything that the environment says, checked. Only `loadConfig` makes one. */
export interface Config {
  /** Undefined only for verbs that do not talk to Cloudflare. */
  readonly credential: Credential | undefined;
  readonly baseUrl: string;
  /** Undefined: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly schedule: string;
  readonly tickMs: number;
  readonly history: { readonly sinceMs: number } | { readonly durationMs: number };
  readonly settleDelaysMs: readonly number[];
  readonly organizationIds: readonly string[] | undefined;
  readonly filters: readonly Filter[];
  /** Requests in any 5 minutes, of all replicas together. */
  readonly apiBudget: number;
  readonly concurrency: number;
  /** How long a replica that has died or is paused keeps its sources. */
  readonly leaseMs: number;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly feedToken: string | undefined;
    /** Proxies whose X-Forwarded headers are believed: addresses and subnets. */
    readonly trustedProxies: readonly string[];
  };
  /** Where events are pushed to. */
  readonly sinks: readonly NamedSink[];
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'pretty' };
  /** Settings that are allowed but probably not meant; logged at start. */
  readonly warnings: readonly string[];
}

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

type Environment = Readonly<Record<string, string | undefined>>;

const SHORTEST_SETTLE_MS = 1_000;
const SMALLEST_BUDGET = 10;
const SHORTEST_LEASE_MS = 1_000;
const LONGEST_LEASE_MS = 600_000;

/** A text setting read by `parse`, which gives undefined for what it cannot read; `wants` says what it could. */
const setting = <T>(fallback: string, wants: string, parse: (text: string) => T | undefined) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue): T => {
      const value = parse(text.trim());
      if (value === undefined) {
        // What is wrong with a URL may be the password in it.
        const sent = text.includes('@') || text.includes('://') ? '' : `, not ${JSON.stringify(text)}`;
        issue.addIssue({ code: 'custom', message: `wants ${wants}${sent}` });
      }
      return value as T;
    });

const wholeNumber = (fallback: string, smallest: number, largest: number) =>
  setting(fallback, `a whole number from ${smallest} to ${largest}`, (text) => {
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
    return delayMs !== undefined && delayMs >= SHORTEST_SETTLE_MS && delayMs > before;
  });
  return valid ? (delaysMs as number[]) : undefined;
};

const history = (text: string): Config['history'] | undefined => {
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined && durationMs > 0) return { durationMs };
  const sinceMs = parseDateOrInstantMs(text);
  return sinceMs === undefined ? undefined : { sinceMs };
};

const organizationIds = (text: string): readonly string[] | undefined | null => {
  const ids = [...new Set(list(text))];
  return ids.every((id) => /^[\w-]{1,64}$/.test(id)) ? ids : undefined;
};

const environmentSchema = z.object({
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
  ORGTRAIL_SETTLE: setting('10m,24h', 'growing durations of at least 1s such as "10m,24h", or "none"', settleDelays),
  ORGTRAIL_ORGANIZATIONS: setting('', 'organization ids, separated by commas', organizationIds),
  ORGTRAIL_API_BUDGET: wholeNumber('900', SMALLEST_BUDGET, 1_000_000_000),
  ORGTRAIL_CONCURRENCY: wholeNumber('4', 1, 64),
  ORGTRAIL_HTTP_HOST: z.string().default('127.0.0.1'),
  ORGTRAIL_HTTP_PORT: wholeNumber('8080', 0, 65_535),
  ORGTRAIL_FEED_TOKEN: z.string().min(16, 'wants at least 16 characters').optional(),
  ORGTRAIL_TRUSTED_PROXIES: setting(
    '',
    'addresses or subnets of proxies such as "10.0.0.5, 10.1.0.0/16"',
    parseProxies,
  ),
  /** Read by sink-config.ts. */
  ORGTRAIL_SINKS: z.string().optional(),
  ORGTRAIL_LEASE: setting('30s', 'a duration from 1s to 10m', (text) => {
    const leaseMs = parseDurationMs(text);
    return leaseMs !== undefined && leaseMs >= SHORTEST_LEASE_MS && leaseMs <= LONGEST_LEASE_MS ? leaseMs : undefined;
  }),
  ORGTRAIL_LOG_LEVEL: setting('info', `one of ${logLevels.join(', ')}`, (text) =>
    logLevels.find((level) => level === text.toLowerCase()),
  ),
  ORGTRAIL_LOG_FORMAT: setting('', '"json" or "pretty"', (text) =>
    text === '' || text === 'json' || text === 'pretty' ? text : undefined,
  ),
});

export interface LoadOptions {
  /** False for verbs that do not talk to Cloudflare. */
  readonly needsCredential: boolean;
  /** True when a person reads the log. */
  readonly interactive: boolean;
}

/**
 * Reads the whole environment. Throws one OrgtrailError `configuration` (exit 2) that names every fault at once.
 * Called by each verb, with the environment that main.ts hands over; reads the files that `NAME_FILE` points to.
 */
export const loadConfig = (environment: Environment, options: LoadOptions): Config => {
  const faults: string[] = [];
  const env = withSecretFiles(withoutEmpty(environment), faults);
  const parsed = environmentSchema.safeParse(env);
  for (const issue of parsed.error?.issues ?? []) faults.push(`${issue.path.join('.')} ${issue.message}`);
  const { filters, faults: filterFaults } = parseFilters(env['ORGTRAIL_FILTERS'] ?? '');
  faults.push(...filterFaults.map((fault) => `ORGTRAIL_FILTERS: ${fault}`));
  const credential = readCredential(env, options.needsCredential, faults);
  const sinks = readSinks(env['ORGTRAIL_SINKS'], faults);
  if (faults.length > 0 || !parsed.success) throw configurationError(faults);
  const values = parsed.data;
  return deepFreeze({
    credential,
    baseUrl: values.CLOUDFLARE_BASE_URL,
    databaseUrl: values.DATABASE_URL,
    dataDir: values.ORGTRAIL_DATA_DIR,
    schedule: values.ORGTRAIL_SCHEDULE,
    tickMs: tickIntervalMs(values.ORGTRAIL_SCHEDULE) ?? 0,
    history: values.ORGTRAIL_HISTORY,
    settleDelaysMs: values.ORGTRAIL_SETTLE,
    organizationIds: values.ORGTRAIL_ORGANIZATIONS?.length ? values.ORGTRAIL_ORGANIZATIONS : undefined,
    filters,
    apiBudget: values.ORGTRAIL_API_BUDGET,
    concurrency: values.ORGTRAIL_CONCURRENCY,
    leaseMs: values.ORGTRAIL_LEASE,
    http: {
      ...{ host: values.ORGTRAIL_HTTP_HOST, port: values.ORGTRAIL_HTTP_PORT, feedToken: values.ORGTRAIL_FEED_TOKEN },
      trustedProxies: values.ORGTRAIL_TRUSTED_PROXIES,
    },
    sinks,
    log: {
      level: values.ORGTRAIL_LOG_LEVEL,
      format: values.ORGTRAIL_LOG_FORMAT || (options.interactive ? 'pretty' : 'json'),
    },
    warnings: [...warningsOf(env, values.ORGTRAIL_SETTLE), ...sinkWarnings(sinks)],
  });
};

/** A variable that is set to nothing counts as not set: compose files and shells make such ones. */
const withoutEmpty = (environment: Environment): Record<string, string> =>
  Object.fromEntries(
    Object.entries(environment).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''),
  );

const warningsOf = (env: Record<string, string>, settleDelaysMs: readonly number[]): string[] => {
  const warnings: string[] = [];
  const files = secretNames.map((name) => `${name}_FILE`);
  const known = new Set([...Object.keys(environmentSchema.shape), 'ORGTRAIL_FILTERS', ...files]);
  for (const name of Object.keys(env)) {
    const unknown = name.startsWith('ORGTRAIL_') && !known.has(name);
    if (unknown) warnings.push(`${name} is not a setting of this version: nothing reads it`);
  }
  const { protocol, hostname } = new URL(env['CLOUDFLARE_BASE_URL'] ?? 'https://x');
  if (protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) {
    warnings.push(`CLOUDFLARE_BASE_URL sends the credential over plain http to ${hostname}`);
  }
  if (settleDelaysMs.length === 0) warnings.push('ORGTRAIL_SETTLE is none: entries that arrive late will be missed');
  const longest = settleDelaysMs.at(-1) ?? 0;
  if (longest > 0 && longest < 60_000) {
    warnings.push(
      `the last settle pass comes after ${formatDuration(longest)}: entries later than that will be missed`,
    );
  }
  return warnings;
};

const configurationError = (faults: readonly string[]): OrgtrailError =>
  new OrgtrailError(
    'configuration',
    `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    {
      hint: 'settings come from the environment and from .env; the README lists them all',
    },
  );

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};
