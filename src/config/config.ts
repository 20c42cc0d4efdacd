import { OrgtrailError } from '../errors.ts';
import type { Credential } from '../ingest/cloudflare/credential.ts';
import { type Filter, parseFilters } from '../ingest/planning/filters.ts';
import { tickIntervalMs } from '../ingest/sync/scheduler.ts';
import { databaseUrlWarning } from '../postgres/database-url.ts';
import { isLoopbackHost } from '../postgres/loopback.ts';
import { formatDuration } from '../time/duration.ts';
import { environmentSchema, type History, type LogLevel, type Settings } from './environment-schema.ts';
import { unknownSettings } from './known-settings.ts';
import { readCredential, withSecretFiles } from './secret-settings.ts';
import { type NamedSink, readSinks, sinkWarnings } from './sinks.ts';

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
  readonly history: History;
  /** Whole months older than this are dropped; infinite: none ever is. */
  readonly retentionMs: number;
  readonly settleDelaysMs: readonly number[];
  readonly organizationIds: readonly string[] | undefined;
  readonly filters: readonly Filter[];
  /** Requests in any 5 minutes, of all replicas together. */
  readonly apiBudget: number;
  /** Reading all of history again: with this share of the budget, 0 not at all, in rounds that begin no sooner than so long after one another. */
  readonly scrub: { readonly share: number; readonly everyMs: number };
  readonly concurrency: number;
  /** False: pages are read without the fast path, for a comparison. */
  readonly fastPath: boolean;
  /** How long a replica that has died or is paused keeps its sources. */
  readonly leaseMs: number;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly feedToken: string | undefined;
    /** A body is cut when its reader has taken nothing for so long. */
    readonly stallTimeoutMs: number;
    /** Whether health and metrics need a token, too. */
    readonly healthAccess: 'open' | 'token';
    /** Proxies whose X-Forwarded headers are believed: addresses and subnets. */
    readonly trustedProxies: readonly string[];
  };
  /** Where events are pushed to. */
  readonly sinks: readonly NamedSink[];
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'pretty' };
  /** Warnings of variables that are probably misspelt: every command logs them. */
  readonly unknownSettings: readonly string[];
  /** Settings that are allowed but probably not meant, those of `unknownSettings` included; logged at start. */
  readonly warnings: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

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
  if (parsed.success && (parsed.data.ORGTRAIL_SETTLE.at(-1) ?? 0) >= parsed.data.ORGTRAIL_RETENTION) {
    faults.push(
      'ORGTRAIL_RETENTION must be longer than the last delay of ORGTRAIL_SETTLE, which still reads that time again',
    );
  }
  if (faults.length > 0 || !parsed.success) throw configurationError(faults);
  const values = parsed.data;
  const unknown = unknownSettings(Object.keys(env));
  return deepFreeze({
    credential,
    baseUrl: values.CLOUDFLARE_BASE_URL,
    databaseUrl: values.DATABASE_URL,
    dataDir: values.ORGTRAIL_DATA_DIR,
    schedule: values.ORGTRAIL_SCHEDULE,
    tickMs: tickIntervalMs(values.ORGTRAIL_SCHEDULE) ?? 0,
    history: values.ORGTRAIL_HISTORY,
    retentionMs: values.ORGTRAIL_RETENTION,
    settleDelaysMs: values.ORGTRAIL_SETTLE,
    organizationIds: values.ORGTRAIL_ORGANIZATIONS?.length ? values.ORGTRAIL_ORGANIZATIONS : undefined,
    filters,
    apiBudget: values.ORGTRAIL_API_BUDGET,
    scrub: { share: values.ORGTRAIL_SCRUB_SHARE, everyMs: values.ORGTRAIL_SCRUB_EVERY },
    concurrency: values.ORGTRAIL_CONCURRENCY,
    fastPath: values.ORGTRAIL_FAST_PATH,
    leaseMs: values.ORGTRAIL_LEASE,
    http: {
      ...{ host: values.ORGTRAIL_HTTP_HOST, port: values.ORGTRAIL_HTTP_PORT, feedToken: values.ORGTRAIL_FEED_TOKEN },
      stallTimeoutMs: values.ORGTRAIL_STALL_TIMEOUT,
      ...{ trustedProxies: values.ORGTRAIL_TRUSTED_PROXIES, healthAccess: values.ORGTRAIL_HEALTH_ACCESS },
    },
    sinks,
    log: {
      level: values.ORGTRAIL_LOG_LEVEL,
      format: values.ORGTRAIL_LOG_FORMAT || (options.interactive ? 'pretty' : 'json'),
    },
    unknownSettings: unknown,
    warnings: [...unknown, ...warningsOf(env, values), ...sinkWarnings(sinks)],
  });
};

/** A variable that is set to nothing counts as not set: compose files and shells make such ones. */
const withoutEmpty = (environment: Environment): Record<string, string> =>
  Object.fromEntries(
    Object.entries(environment).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''),
  );

const warningsOf = (env: Record<string, string>, values: Settings): string[] => {
  const warnings: string[] = [];
  const settleDelaysMs = values.ORGTRAIL_SETTLE;
  const { protocol, hostname } = new URL(env['CLOUDFLARE_BASE_URL'] ?? 'https://x');
  if (protocol === 'http:' && !isLoopbackHost(hostname)) {
    warnings.push(`CLOUDFLARE_BASE_URL sends the credential over plain http to ${hostname}`);
  }
  const plainDatabase = databaseUrlWarning(values.DATABASE_URL ?? '');
  if (plainDatabase !== undefined) warnings.push(plainDatabase);
  const { ORGTRAIL_HISTORY: wanted, ORGTRAIL_RETENTION: retentionMs } = values;
  // Only one that somebody has set: the default is all that Cloudflare has.
  if (env['ORGTRAIL_HISTORY'] !== undefined && 'durationMs' in wanted && wanted.durationMs > retentionMs) {
    warnings.push('ORGTRAIL_HISTORY reaches further back than ORGTRAIL_RETENTION keeps: no more than that is read');
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
      hint: 'settings come from the environment and from .env; docs/reference/settings.md lists them all',
    },
  );

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};
