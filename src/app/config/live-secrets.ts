import type { Logger } from 'pino';
import { OrgtrailError } from '../../base/errors.ts';
import type {
  Credential,
  CredentialSource,
  LiveCredential,
  NamedCredential,
} from '../../ingest/cloudflare/credentials.ts';
import { withPasswordOf } from '../../postgres/database-url.ts';
import { type SinkSettings, sinkSecrets } from '../../sinks/registry.ts';
import { type Config, loadConfig, secretsOf } from './config.ts';
import { DEFAULT_CREDENTIAL } from './credentials.ts';
import { secretNames } from './secret-settings.ts';
import type { NamedSink } from './sinks.ts';

/** Secrets that come from files may be renewed while orgtrail runs. */
export type LiveSecrets = ReturnType<typeof createLiveSecrets>;

interface LiveSecretsOptions {
  readonly hidden: string[];
  readonly onChange?: (settings: readonly string[]) => void;
  readonly onFault?: (reason: string) => void;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** For a configuration that was not read from an environment. */
export const fixedSecrets = (config: Config): LiveSecrets => createLiveSecrets({}, config, { hidden: [] });

export const createLiveSecrets = (env: Environment, config: Config, options: LiveSecretsOptions) => {
  let latest = config;
  let byName = credentialsByName(config);
  let listed: readonly LiveCredential[] | undefined;
  const listeners: (() => void)[] = [];
  const reading = createReading(env, config, options.onFault);
  const reload = (): boolean => {
    const next = hasFiles(env) ? reading.read(latest) : undefined;
    if (next === undefined) return false;
    const changed = changedSettings(latest, next);
    if (changed.length === 0) return false;
    // An equal credential stays the same object: by that it is known whether a request was sent with the latest one.
    const credential = isSame(latest.credential, next.credential) ? latest.credential : next.credential;
    latest = { ...next, credential, credentials: withSameObjects(byName, next.credentials) };
    byName = credentialsByName(latest);
    listed = undefined;
    const hidden = new Set(options.hidden);
    for (const secret of secretsOf(latest)) if (!hidden.has(secret)) options.hidden.push(secret);
    options.onChange?.(shortened(changed));
    for (const listener of listeners) listener();
    return true;
  };
  const credential = (): Credential => {
    const current = latest.credential ?? config.credential;
    if (current === undefined) throw new OrgtrailError('configuration', 'no credential');
    return current;
  };
  const live = (current: () => Credential): CredentialSource => {
    const refresh = () => {
      const before = current();
      if (reading.mayRefresh()) reload();
      return current() !== before;
    };
    return { current, refresh };
  };
  const sources = new Map<string, CredentialSource>();
  const sourceOf = (name: string, first: Credential): CredentialSource => {
    const known = sources.get(name);
    if (known !== undefined) return known;
    let last = first;
    // One that is no longer configured stays what it was.
    const source = live(() => {
      last = byName.get(name)?.credential ?? last;
      return last;
    });
    sources.set(name, source);
    return source;
  };
  return {
    /** Throws OrgtrailError `configuration` when asked for what is not set. */
    credential: live(credential),
    /** In the order of the configuration; the same array until it changes. A name keeps its `source` for as long as the process lives. */
    credentials: (): readonly LiveCredential[] => {
      listed ??= latest.credentials.map(({ credential: first, ...rest }) => ({
        ...rest,
        source: sourceOf(rest.name, first),
      }));
      return listed;
    },
    /** With the user and the password that its file has now; undefined: none is configured. */
    databaseUrl: (): string | undefined => {
      // Asked for each new connection, the first sign of a changed password is one that fails.
      if (env['DATABASE_URL_FILE'] || env['ORGTRAIL_CONFIG']) reload();
      return config.databaseUrl && withPasswordOf(config.databaseUrl, latest.databaseUrl);
    },
    feedToken: (): string | undefined => config.http.feedToken && (latest.http.feedToken ?? config.http.feedToken),
    sink: (name: string, settings: SinkSettings) =>
      withSecrets(settings, latest.sinks.find((sink) => sink.name === name)?.settings),
    /** True when something changed. What cannot be read stays as it was. */
    reload,
    onChanged: (listener: () => void) => void listeners.push(listener),
  };
};

const createReading = (env: Environment, first: Config, onFault: LiveSecretsOptions['onFault']) => {
  let lastFault: string | undefined;
  let mayRefreshAtMs = Number.NEGATIVE_INFINITY;
  const tell = (fault: string | undefined): void => {
    if (fault !== undefined && fault !== lastFault) onFault?.(fault);
    lastFault = fault;
  };
  return {
    mayRefresh: () => performance.now() >= mayRefreshAtMs,
    read: (latest: Config): Config | undefined => {
      const lenient = { latest: latest.credentials, faults: [] };
      const startMs = performance.now();
      try {
        const next = loadConfig(env, { needsCredential: first.credentials.length > 0, interactive: false, lenient });
        tell(lenient.faults.length === 0 ? undefined : shortened(lenient.faults).join('; '));
        return next;
      } catch (error) {
        if (!(error instanceof OrgtrailError)) throw error;
        tell(error.message);
        return undefined;
      } finally {
        const endMs = performance.now();
        if (endMs - startMs > LONG_READING_MS) mayRefreshAtMs = endMs + REFRESH_PAUSES * (endMs - startMs);
      }
    },
  };
};

/** Of these files, only secrets are taken while orgtrail runs. */
const hasFiles = (env: Environment): boolean =>
  ['ORGTRAIL_CONFIG', ...secretNames.map((name) => `${name}_FILE`)].some((name) => (env[name] ?? '') !== '') ||
  ['ORGTRAIL_SINKS', 'CLOUDFLARE_CREDENTIALS'].some((name) => /"\w+_file"/.test(env[name] ?? ''));

const MOST_NAMED = 20;

const shortened = (all: readonly string[]): readonly string[] =>
  all.length <= MOST_NAMED ? all : [...all.slice(0, MOST_NAMED), `${all.length - MOST_NAMED} more`];

/** Thousands of refused requests do not keep a process reading thousands of files. */
const LONG_READING_MS = 100;
const REFRESH_PAUSES = 20;

type ByName = ReadonlyMap<string, NamedCredential>;

const credentialsByName = ({ credentials }: Pick<Config, 'credentials'>): ByName =>
  new Map(credentials.map((each) => [each.name, each]));

/** An equal credential stays the same object: by that it is known whether a request was sent with the latest one. */
const withSameObjects = (before: ByName, after: readonly NamedCredential[]) =>
  after.map((next): NamedCredential => {
    const old = before.get(next.name);
    return old !== undefined && isSame(old.credential, next.credential)
      ? { ...next, credential: old.credential }
      : next;
  });

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const changedSettings = (before: Config, after: Config): string[] => {
  const changed: string[] = [];
  if (!isSame(before.credential, after.credential)) changed.push('the Cloudflare credential');
  changed.push(...changedCredentials(before, after));
  if (before.databaseUrl !== after.databaseUrl) changed.push('DATABASE_URL');
  if (before.http.feedToken !== after.http.feedToken) changed.push('ORGTRAIL_FEED_TOKEN');
  for (const { name, settings } of after.sinks) {
    const old = before.sinks.find((sink: NamedSink) => sink.name === name);
    if (old !== undefined && !isSame(secretPart(old.settings), secretPart(settings))) {
      changed.push(`ORGTRAIL_SINKS.${name}`);
    }
  }
  return changed;
};

const changedCredentials = (before: Config, after: Config): string[] => {
  const [old, next] = [credentialsByName(before), credentialsByName(after)];
  const names = new Set([...old.keys(), ...next.keys()]);
  names.delete(DEFAULT_CREDENTIAL);
  const isChanged = (name: string): boolean =>
    old.get(name) !== next.get(name) && !isSame(old.get(name), next.get(name));
  return [...names].filter(isChanged).map((name) => `CLOUDFLARE_CREDENTIALS.${name}`);
};

const secretPart = (settings: SinkSettings): Readonly<Record<string, unknown>> => {
  const values: Readonly<Record<string, unknown>> = { ...settings };
  return Object.fromEntries(sinkSecrets.filter((key) => values[key] !== undefined).map((key) => [key, values[key]]));
};

/** The same object while the secrets are the same. */
const withSecrets = (settings: SinkSettings, latest: SinkSettings | undefined): SinkSettings => {
  if (latest === undefined || latest.type !== settings.type) return settings;
  if (isSame(secretPart(settings), secretPart(latest))) return settings;
  return { ...settings, ...secretPart(latest) };
};

/** For secrets that nothing refuses: a feed token that was revoked, say. */
const RELOAD_EVERY_MS = 60_000;

/** The log says when one was renewed. `hidden` is what the log blanks. */
export const openSecrets = (
  env: Readonly<Record<string, string | undefined>>,
  config: Config,
  { logger, hidden }: { readonly logger: Logger; readonly hidden: string[] },
): LiveSecrets =>
  createLiveSecrets(env, config, {
    hidden,
    onChange: (settings) => logger.info({ settings }, 'secrets reloaded from their files'),
    onFault: (reason) => logger.warn({ reason }, 'reloading secrets failed; keeping the current ones'),
  });

/** Until the signal aborts, and whenever the process is asked to (SIGHUP). */
export const keepReloading = (
  secrets: LiveSecrets,
  logger: Logger,
  {
    signal,
    onReloadAsked,
  }: { readonly signal: AbortSignal; readonly onReloadAsked?: ((listener: () => void) => void) | undefined },
): void => {
  const timer = setInterval(() => secrets.reload(), RELOAD_EVERY_MS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  onReloadAsked?.(() => {
    if (!secrets.reload()) logger.info('secrets reload requested: files unchanged');
  });
};
