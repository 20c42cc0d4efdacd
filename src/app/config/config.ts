import { type ArchiveKeys, tableBaseOf } from '../../archive/store.ts';
import { isLoopbackHost } from '../../base/addresses.ts';
import { awsVariables } from '../../base/s3/credentials.ts';
import { formatDuration } from '../../base/time.ts';
import type { Credential, NamedCredential } from '../../ingest/cloudflare/credentials.ts';
import type { Filter } from '../../ingest/planning/walk.ts';
import { kindOf, type SourceKindName, sourceKindNames } from '../../ingest/sources/registry.ts';
import { parseFilters } from '../../ingest/sources/source-kind.ts';
import { tickIntervalMs } from '../../ingest/sync/daemon.ts';
import { databasePasswords, databaseUrlWarning } from '../../postgres/database-url.ts';
import { secretsOfSink } from '../../sinks/registry.ts';
import { DEFAULT_CREDENTIAL, type LenientRead, readCredentials } from './credentials.ts';
import { environmentSchema, type LogLevel, type Settings } from './environment-schema.ts';
import { readCredential, withSecretFiles } from './secret-settings.ts';
import { configurationError, describeFault, inOrder, locateFault, unknownSettings } from './settings-list.ts';
import { type NamedSink, readSinks, sinkWarnings } from './sinks.ts';
import { readConfigFile, settingsBelow } from './yaml.ts';

export type Config = Readonly<NonNullable<ReturnType<typeof readEnvironment>>>;
export type EvidenceConfig = NonNullable<Config['evidence']>;

type Environment = Readonly<Record<string, string | undefined>>;
/** For messages about further credentials, when the configured budget has a fault. */
const FALLBACK_BUDGET = 900;

interface LoadOptions {
  readonly needsCredential: boolean;
  readonly interactive: boolean;
  readonly logLevel?: LogLevel;
  readonly lenient?: LenientRead;
}

export type ReadConfig = ReturnType<typeof readConfig>;

/** Reads the environment and the file of its ORGTRAIL_CONFIG. Throws one OrgtrailError `configuration` that names every fault. */
export const loadConfig = (environment: Environment, options: LoadOptions): Config =>
  configWithoutFaults(readConfig(environment, options));

/** Throws what `loadConfig` throws. */
export const configWithoutFaults = ({ config, faults }: ReadConfig): Config => {
  if (config === undefined) throw configurationError(faults.map(describeFault));
  return config;
};

/** As `loadConfig`, but returns the faults: for commands that show them, or the origin of each setting. */
export const readConfig = (environment: Environment, options: LoadOptions) => {
  const given = withoutEmpty(environment);
  const file = readConfigFile(given['ORGTRAIL_CONFIG']);
  const below = settingsBelow(file, given);
  const settings = { ...below, ...given };
  const fromFile = new Set(Object.keys(below));
  const messages: string[] = [];
  const env = withSecretFiles(settings, messages);
  // What a faulty file was meant to say is unknown: it may have the credential.
  const needsCredential = options.needsCredential && file.faults.length === 0;
  const config = readEnvironment(env, { ...options, needsCredential }, messages);
  const places = new Map([...file.places].filter(([path]) => fromFile.has(path.split('.')[0] ?? '')));
  const faults = inOrder([...file.faults, ...messages.map((message) => locateFault(message, places))]);
  const warnings = config?.warnings.map((warning) => describeFault(locateFault(warning, places))) ?? [];
  const sound = faults.length > 0 ? undefined : config && { ...config, warnings: [...warnings, ...file.warnings] };
  return {
    config: deepFreeze<Config | undefined>(sound),
    faults,
    file,
    /** Those of the file included, as text. */
    settings,
    fromFile,
  };
};

const kindsInForce = (env: Record<string, string>): readonly SourceKindName[] =>
  environmentSchema.shape.ORGTRAIL_SOURCES.safeParse(env['ORGTRAIL_SOURCES']).data ?? [];

/** Undefined if it has added to `faults`, each with the name of its setting first. */
const readEnvironment = (env: Record<string, string>, options: LoadOptions, faults: string[]) => {
  const parsed = environmentSchema.safeParse(env);
  for (const issue of parsed.error?.issues ?? []) faults.push(`${issue.path.join('.')} ${issue.message}`);
  const filters = readFilters(env, kindsInForce(env), faults);
  const further = readFurtherCredentials(env, parsed.data?.ORGTRAIL_API_BUDGET, faults, options.lenient);
  const credential = readCredential(env, options.needsCredential && further.needsAnother, faults);
  if (credential !== undefined && further.credentials.some(({ name }) => name === DEFAULT_CREDENTIAL)) {
    faults.push(`CLOUDFLARE_CREDENTIALS.${DEFAULT_CREDENTIAL} is the name of the credential that is set by itself`);
  }
  const sinks = readSinks(env['ORGTRAIL_SINKS'], faults);
  if (parsed.data !== undefined) faults.push(...contradictionsOf(parsed.data, sinks));
  if (faults.length > 0 || !parsed.success) return undefined;
  const values = parsed.data;
  const unknown = unknownSettings(Object.keys(env));
  return {
    /** Undefined only for commands that do not talk to Cloudflare. */
    credential,
    credentials: [...withDefault(credential, values.ORGTRAIL_API_BUDGET), ...further.credentials] as const,
    baseUrl: values.CLOUDFLARE_BASE_URL,
    /** Undefined: the embedded PostgreSQL in `dataDir`. */
    databaseUrl: values.DATABASE_URL,
    dataDir: values.ORGTRAIL_DATA_DIR,
    schedule: values.ORGTRAIL_SCHEDULE,
    tickMs: tickIntervalMs(values.ORGTRAIL_SCHEDULE) ?? 0,
    history: values.ORGTRAIL_HISTORY,
    /** Whole months older than this are dropped; infinite: none ever is. */
    retentionMs: values.ORGTRAIL_RETENTION,
    archive: archiveOf(values, env),
    thawMaxBytes: values.ORGTRAIL_THAW_MAX_GB * 1_000_000_000,
    settleDelaysMs: values.ORGTRAIL_SETTLE,
    organizationIds: values.ORGTRAIL_ORGANIZATIONS?.length ? values.ORGTRAIL_ORGANIZATIONS : undefined,
    sources: values.ORGTRAIL_SOURCES,
    /** Files of country and network owner of addresses. */
    geoip: values.ORGTRAIL_GEOIP,
    accounts: values.ORGTRAIL_ACCOUNTS,
    filters,
    /** Requests in any 5 minutes of one principal, of all replicas together. */
    apiBudget: values.ORGTRAIL_API_BUDGET,
    /** Reading all of history again: its share of the budget (0: off), and the minimum time between the starts of two rounds. */
    scrub: { share: values.ORGTRAIL_SCRUB_SHARE, everyMs: values.ORGTRAIL_SCRUB_EVERY },
    concurrency: values.ORGTRAIL_CONCURRENCY,
    /** False: without the fast path, for a comparison. */
    fastPath: values.ORGTRAIL_FAST_PATH,
    /** How long a replica that has died or is paused keeps its sources. */
    leaseMs: values.ORGTRAIL_LEASE,
    http: {
      host: values.ORGTRAIL_HTTP_HOST,
      port: values.ORGTRAIL_HTTP_PORT,
      feedToken: values.ORGTRAIL_FEED_TOKEN,
      /** A body is cut when its reader has taken nothing for so long. */
      stallTimeoutMs: values.ORGTRAIL_STALL_TIMEOUT,
      /** Proxies whose X-Forwarded headers are believed: addresses and subnets. */
      trustedProxies: values.ORGTRAIL_TRUSTED_PROXIES,
      healthAccess: values.ORGTRAIL_HEALTH_ACCESS,
    },
    /** That commands ask instead of a database. */
    daemonUrl: values.ORGTRAIL_URL,
    evidence: evidenceOf(values, env),
    /** Amazon's own variables, for credentials of object storage. */
    aws: awsOf(env),
    sinks,
    log: {
      level: env['ORGTRAIL_LOG_LEVEL'] === undefined && options.logLevel ? options.logLevel : values.ORGTRAIL_LOG_LEVEL,
      format: values.ORGTRAIL_LOG_FORMAT || (options.interactive ? ('pretty' as const) : ('json' as const)),
    },
    /** Warnings about variables that are probably misspelt: every command logs them. */
    unknownSettings: unknown,
    /** Settings that are allowed but probably not meant, `unknownSettings` included; logged at start. */
    warnings: [...unknown, ...warningsOf(env, values), ...sinkWarnings(sinks)] as const,
  };
};

const filterSettingOf = (kind: SourceKindName): `ORGTRAIL_FILTERS_${string}` =>
  `ORGTRAIL_FILTERS_${kind.toUpperCase()}S`;

/** The own setting of each kind, else that of all. Adds to `faults`; the names must be those of every kind in force that a setting is for. */
const readFilters = (
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

const awsOf = (env: Record<string, string>): ArchiveKeys['environment'] =>
  Object.fromEntries(awsVariables.map((name) => [name, env[name]]));

const archiveOf = (values: Settings, env: Record<string, string>) =>
  values.ORGTRAIL_ARCHIVE && {
    target: values.ORGTRAIL_ARCHIVE,
    parquetVersion: values.ORGTRAIL_ARCHIVE_PARQUET,
    afterMs: values.ORGTRAIL_ARCHIVE_AFTER,
    tableBase: values.ORGTRAIL_ARCHIVE_TABLE_BASE ?? tableBaseOf(values.ORGTRAIL_ARCHIVE),
    s3: {
      accessKey: values.ORGTRAIL_ARCHIVE_S3_ACCESS_KEY,
      secretKey: values.ORGTRAIL_ARCHIVE_S3_SECRET_KEY,
      environment: awsOf(env),
    },
  };

const evidenceOf = (values: Settings, env: Record<string, string>) =>
  values.ORGTRAIL_EVIDENCE_ORIGIN === undefined
    ? undefined
    : {
        base: values.ORGTRAIL_EVIDENCE_ORIGIN,
        /** Undefined: this process builds nothing. */
        keyFile: values.ORGTRAIL_EVIDENCE_KEY_FILE,
        /** A command that signs; `keyFile` is that of its public key then. */
        signer: values.ORGTRAIL_EVIDENCE_SIGNER,
        /** The key that is to follow, or has followed. */
        nextKeyFile: values.ORGTRAIL_EVIDENCE_NEXT_KEY_FILE,
        nextSigner: values.ORGTRAIL_EVIDENCE_NEXT_SIGNER,
        intervalMs: values.ORGTRAIL_EVIDENCE_INTERVAL,
        anchors: values.ORGTRAIL_EVIDENCE_ANCHORS ?? [],
        s3: {
          accessKey: values.ORGTRAIL_EVIDENCE_S3_ACCESS_KEY,
          secretKey: values.ORGTRAIL_EVIDENCE_S3_SECRET_KEY,
          environment: awsOf(env),
        },
        /** How long a statement of coverage is good for. */
        statementsMs: values.ORGTRAIL_EVIDENCE_STATEMENTS,
      };

const readFurtherCredentials = (
  env: Record<string, string>,
  budget: number | undefined,
  faults: string[],
  lenient: LenientRead | undefined,
) => {
  const before = faults.length;
  const credentials = readCredentials(env, budget ?? FALLBACK_BUDGET, faults, lenient);
  return { credentials, needsAnother: credentials.length === 0 && faults.length === before };
};

const withDefault = (credential: Credential | undefined, budget: number): readonly NamedCredential[] =>
  credential === undefined
    ? []
    : [{ name: DEFAULT_CREDENTIAL, credential, budget, accounts: true, organizations: true }];

/** A variable that is set to nothing counts as not set: compose files and shells make such ones. */
const withoutEmpty = (environment: Environment): Record<string, string> =>
  Object.fromEntries(
    Object.entries(environment).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''),
  );

/** The elements of a view of bytes cannot be frozen. */
const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};

/** Settings that are right by themselves but not together, each text with the name of its setting first. */
const contradictionsOf = (values: Settings, sinks: readonly NamedSink[]): string[] => [
  ...((values.ORGTRAIL_SETTLE.at(-1) ?? 0) >= values.ORGTRAIL_RETENTION
    ? [
        `ORGTRAIL_RETENTION must be longer than the last delay of ORGTRAIL_SETTLE (${formatDuration(values.ORGTRAIL_SETTLE.at(-1) ?? 0)}), which still reads that time again`,
      ]
    : []),
  ...(values.ORGTRAIL_EVIDENCE_SIGNER !== undefined && values.ORGTRAIL_EVIDENCE_KEY_FILE === undefined
    ? ['ORGTRAIL_EVIDENCE_SIGNER needs ORGTRAIL_EVIDENCE_KEY_FILE beside it, with the public key']
    : []),
  ...halfKeyFaults(values),
  ...nextKeyFaults(values),
  ...checkpointFaults(sinks, values),
];

const checkpointFaults = (sinks: readonly NamedSink[], { ORGTRAIL_EVIDENCE_ORIGIN: origin }: Settings): string[] =>
  origin !== undefined
    ? []
    : sinks
        .filter(({ settings }) => settings.checkpoints === true)
        .map(
          ({ name }) => `ORGTRAIL_SINKS.${name}.checkpoints needs ORGTRAIL_EVIDENCE_ORIGIN: without it there are none`,
        );

const halfKeyFaults = (values: Settings): string[] =>
  (['EVIDENCE', 'ARCHIVE'] as const).flatMap((of) => {
    const names = [`ORGTRAIL_${of}_S3_ACCESS_KEY`, `ORGTRAIL_${of}_S3_SECRET_KEY`] as const;
    const given = names.filter((name) => values[name] !== undefined);
    return given.length === 1 ? [`${names.join(' and ')} belong together: set both`] : [];
  });

const nextKeyFaults = (values: Settings): string[] => [
  ...(values.ORGTRAIL_EVIDENCE_NEXT_SIGNER !== undefined && values.ORGTRAIL_EVIDENCE_NEXT_KEY_FILE === undefined
    ? ['ORGTRAIL_EVIDENCE_NEXT_SIGNER needs ORGTRAIL_EVIDENCE_NEXT_KEY_FILE beside it, with the public key']
    : []),
  ...(values.ORGTRAIL_EVIDENCE_NEXT_KEY_FILE !== undefined && values.ORGTRAIL_EVIDENCE_KEY_FILE === undefined
    ? ['ORGTRAIL_EVIDENCE_NEXT_KEY_FILE needs ORGTRAIL_EVIDENCE_KEY_FILE beside it: a single key is that one']
    : []),
];

/** `env`: as it was given, without what is empty. */
const warningsOf = (env: Record<string, string>, values: Settings): string[] => {
  const warnings: string[] = [];
  const settleDelaysMs = values.ORGTRAIL_SETTLE;
  const { protocol, hostname } = new URL(env['CLOUDFLARE_BASE_URL'] ?? 'https://x');
  if (protocol === 'http:' && !isLoopbackHost(hostname)) {
    warnings.push(`CLOUDFLARE_BASE_URL sends the credential over plain http to ${hostname}`);
  }
  if (env['CLOUDFLARE_EMAIL'] !== undefined && env['CLOUDFLARE_API_TOKEN'] !== undefined) {
    warnings.push('CLOUDFLARE_EMAIL does nothing beside CLOUDFLARE_API_TOKEN');
  }
  const name = values.ORGTRAIL_ORGANIZATIONS?.find((id) => !/[0-9]/.test(id));
  if (name !== undefined) warnings.push(`ORGTRAIL_ORGANIZATIONS must have ids, and ${name} may be a name`);
  const plainDatabase = databaseUrlWarning(values.DATABASE_URL ?? '');
  if (plainDatabase !== undefined) warnings.push(plainDatabase);
  const { ORGTRAIL_HISTORY: wanted, ORGTRAIL_RETENTION: retentionMs, ORGTRAIL_ARCHIVE: archive } = values;
  // Only one that was set: the default is all that Cloudflare has.
  const isDeep = env['ORGTRAIL_HISTORY'] !== undefined && 'durationMs' in wanted && wanted.durationMs > retentionMs;
  if (isDeep && archive === undefined) {
    warnings.push('ORGTRAIL_HISTORY reaches further back than ORGTRAIL_RETENTION keeps: only that much is read');
  }
  const { ORGTRAIL_EVIDENCE_ORIGIN: origin, ORGTRAIL_EVIDENCE_KEY_FILE: keyFile } = values;
  if (keyFile !== undefined && origin === undefined) {
    warnings.push('ORGTRAIL_EVIDENCE_KEY_FILE does nothing without ORGTRAIL_EVIDENCE_ORIGIN');
  }
  if (values.ORGTRAIL_EVIDENCE_ANCHORS !== undefined && (keyFile === undefined || origin === undefined)) {
    warnings.push(
      'ORGTRAIL_EVIDENCE_ANCHORS does nothing without ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE',
    );
  }
  if (archive !== undefined && Math.min(retentionMs, values.ORGTRAIL_ARCHIVE_AFTER) === Number.POSITIVE_INFINITY) {
    warnings.push(
      'ORGTRAIL_ARCHIVE does nothing without ORGTRAIL_ARCHIVE_AFTER and ORGTRAIL_RETENTION: no month is old enough for it',
    );
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

/** All that no output may hold: the log blanks it should it turn up in a message. */
export const secretsOf = (config: Config): string[] => {
  const secrets: (string | undefined)[] = [config.http.feedToken];
  for (const { credential } of config.credentials) {
    secrets.push(...(credential.kind === 'token' ? [credential.token] : [credential.key, credential.email]));
  }
  for (const { settings } of config.sinks) secrets.push(...secretsOfSink(settings));
  secrets.push(config.evidence?.s3.secretKey, config.archive?.s3.secretKey);
  const signsForAmazon =
    config.evidence !== undefined ||
    config.archive !== undefined ||
    config.sinks.some(({ settings }) => settings.type === 's3');
  if (signsForAmazon) secrets.push(config.aws['AWS_SECRET_ACCESS_KEY'], config.aws['AWS_SESSION_TOKEN']);
  if (config.databaseUrl !== undefined) secrets.push(...databasePasswords(config.databaseUrl));
  return secrets.filter((secret): secret is string => secret !== undefined && secret !== '');
};
