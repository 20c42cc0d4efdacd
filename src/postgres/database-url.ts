import { readFileSync } from 'node:fs';
import { isLoopbackHost } from '../base/addresses.ts';

/** Encryption and verification, as `pg` takes them. */
interface DatabaseTls {
  readonly rejectUnauthorized: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface DatabaseTarget {
  /** The connection string without what is said in the other fields. */
  readonly connectionString: string;
  /** Reads the certificate files again for each connection, since they are renewed; undefined if the URL does not mention TLS. */
  readonly tls: (() => DatabaseTls | false) | undefined;
  readonly sslnegotiation: 'direct' | undefined;
  /** libpq's `connect_timeout`; undefined if the URL says nothing of the kind. */
  readonly connectTimeoutMs: number | undefined;
}

/** libpq's names. All but the last two verify: libpq's `require` and `prefer` would take any server for the right one. */
const modes = ['prefer', 'require', 'verify-ca', 'verify-full', 'no-verify', 'disable'];
const files = ['sslrootcert', 'sslcert', 'sslkey'] as const;

/**
 * What is wrong with a DATABASE_URL, without any of its value; undefined if nothing is. A mode that is misspelt must not
 * pass for none, and a password with a `/` in it must not be taken for a part of the address, which messages name.
 */
export const databaseUrlFault = (text: string): string | undefined => {
  if (!/^postgres(ql)?:\/\//.test(text)) return 'must be postgres://USER:PASSWORD@HOST:PORT/DATABASE';
  const url = parse(text);
  const strays = url === undefined ? [] : [url.pathname, url.hash, ...url.searchParams.keys()];
  if (url === undefined || url.hash !== '' || strays.some((part) => part.includes('@'))) {
    return 'must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, with @ / ? # % of user and password written as %40 %2F %3F %23 %25';
  }
  const mode = modeOf(url);
  if (mode !== undefined && !modes.includes(mode)) return `must have an sslmode that is one of ${modes.join(', ')}`;
  if (!['postgres', 'direct'].includes(url.searchParams.get('sslnegotiation') ?? 'postgres'))
    return 'must have an sslnegotiation that is postgres or direct';
  if (url.searchParams.has('sslcert') !== url.searchParams.has('sslkey'))
    return 'must have sslcert and sslkey together';
  return files.map((name) => fileFault(name, url.searchParams.get(name))).find((fault) => fault !== undefined);
};

/**
 * What is risky about a DATABASE_URL without a fault: another host, and no word on encryption. `sslmode=disable` says that plain
 * text is meant. Undefined if nothing is.
 */
export const databaseUrlWarning = (text: string): string | undefined => {
  const url = parse(text);
  if (url === undefined || readDatabaseUrl(text).tls !== undefined) return undefined;
  const host = url.searchParams.get('host') ?? decodeURIComponent(url.hostname);
  if (host.startsWith('/') || isLoopbackHost(host)) return undefined;
  return `DATABASE_URL connects to ${host} in plain text: add sslmode=verify-full, or sslmode=disable if plain text is meant`;
};

/** Takes a DATABASE_URL apart that has no fault. Throws if a certificate file has gone since. Called by the pool. */
export const readDatabaseUrl = (text: string): DatabaseTarget => {
  const url = parse(text);
  if (url === undefined)
    return { connectionString: text, tls: undefined, sslnegotiation: undefined, connectTimeoutMs: undefined };
  const parameters = url.searchParams;
  const mode = modeOf(url);
  const direct = parameters.get('sslnegotiation') === 'direct';
  const read = Object.fromEntries(files.map((name) => [name, reader(parameters.get(name))]));
  const silent = mode === undefined && !direct && files.every((name) => !parameters.has(name));
  return {
    connectionString: connectionStringOf(text),
    sslnegotiation: direct ? 'direct' : undefined,
    connectTimeoutMs: secondsToMs(parameters.get('connect_timeout')),
    tls: silent
      ? undefined
      : () => {
          if (mode === 'disable') return false;
          const [ca, cert, key] = [read['sslrootcert']?.(), read['sslcert']?.(), read['sslkey']?.()];
          // Said although it is the default, since NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
          const verify = { rejectUnauthorized: mode !== 'no-verify' };
          return { ...verify, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
        },
  };
};

/** A connection string, or what gives the latest one for each new connection: passwords are renewed. */
export type DatabaseUrl = string | (() => string);

/**
 * `text` with the user and the password of `latest`, if that names the same database in the same way; else `text`: another
 * database must not be taken for this one while orgtrail runs.
 */
export const withPasswordOf = (text: string, latest: string | undefined): string => {
  const [url, next] = [parse(text), latest === undefined ? undefined : parse(latest)];
  if (latest === undefined || url === undefined || next === undefined) return text;
  return withoutCredential(url) === withoutCredential(next) ? latest : text;
};

const withoutCredential = (url: URL): string => {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  copy.searchParams.delete('password');
  copy.searchParams.delete('user');
  return copy.href;
};

/** What of a connection string is handed to `pg`: the rest is said in other ways. */
export const connectionStringOf = (text: string): string =>
  withoutParameters(text, ['ssl', 'sslmode', 'sslnegotiation', 'uselibpqcompat', ...files]);

/** The password as written and as sent: what no output may hold. */
export const databasePasswords = (text: string): string[] => {
  const url = parse(text);
  if (url === undefined) return [];
  const passwords = [url.password, url.searchParams.get('password') ?? ''];
  try {
    passwords.push(decodeURIComponent(url.password));
  } catch {
    // A lone % stands for itself.
  }
  return passwords.filter((password) => password !== '');
};

/** A DATABASE_URL without a fault, with every password in it replaced. */
export const withPasswordsHidden = (text: string, hidden: string): string => {
  const url = parse(text);
  if (url === undefined) return hidden;
  if (url.password !== '') url.password = hidden;
  for (const name of [...url.searchParams.keys()]) if (/password/i.test(name)) url.searchParams.set(name, hidden);
  return url.href;
};

/** Like `pg`, also without a host before the path: then a parameter gives the directory of the socket. */
const parse = (text: string): URL | undefined => {
  const candidates = [text, text.replace('@/', '@localhost/')];
  const valid = candidates.find((candidate) => URL.canParse(candidate));
  return valid === undefined ? undefined : new URL(valid);
};

/** `ssl=true` and the like are the driver's older way of saying it. */
const modeOf = ({ searchParams }: URL): string | undefined => {
  const older: Readonly<Record<string, string>> = {
    true: 'verify-full',
    1: 'verify-full',
    false: 'disable',
    0: 'disable',
  };
  const ssl = searchParams.get('ssl') ?? undefined;
  return searchParams.get('sslmode') ?? (ssl === undefined ? undefined : (older[ssl] ?? ssl));
};

const fileFault = (name: string, path: string | null): string | undefined => {
  if (path === null) return undefined;
  try {
    readFileSync(path);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return `names an ${name} that cannot be read${code}`;
  }
};

/** While a file is being replaced, what it held before serves: an error here would end the process. */
const reader = (path: string | null): (() => string) | undefined => {
  if (path === null) return undefined;
  let last = readFileSync(path, 'utf8');
  return () => {
    try {
      last = readFileSync(path, 'utf8');
    } catch {}
    return last;
  };
};

const secondsToMs = (text: string | null): number | undefined =>
  /^[1-9]\d{0,5}$/.test(text ?? '') ? Number(text) * 1_000 : undefined;

/** Cut out of the text, since printing a parsed URL would change the spelling of the rest. */
const withoutParameters = (text: string, names: readonly string[]): string => {
  const [, base = text, query = ''] = /^([^?]*)\?(.*)$/s.exec(text) ?? [];
  const kept = query.split('&').filter((part) => !names.includes(part.split('=', 1)[0] ?? ''));
  return kept.join('&') === '' ? base : `${base}?${kept.join('&')}`;
};
