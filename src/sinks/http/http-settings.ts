import { z } from 'zod';
import { isLoopbackHost } from '../../base/addresses.ts';
import { urlOf } from '../sink-kind.ts';

/** Of a receiver whose paths the sink knows. */
const baseUrl = urlOf('https:', 'http:').refine(
  (text) => !/[?#]/.test(text),
  'must be a URL without query and fragment',
);

export const httpSettings = { url: baseUrl, ca_file: z.string().optional(), gzip: z.boolean().default(true) };

/** Warns of `url` if `what` goes to another host without TLS. */
export const plainHttpWarnings = (url: string, what: string): string[] => {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'http:' || isLoopbackHost(hostname)) return [];
  return [`.url sends ${what} over plain http to ${hostname}`];
};

type Headers = Readonly<Record<string, string>>;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const OWN = ['connection', 'content-encoding', 'content-length', 'host', 'idempotency-key', 'transfer-encoding'];

/** Of a text with a `Name: value` on each line. Undefined if it has another line. */
const pairsOf = (text: string): readonly (readonly [string, string])[] | undefined => {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const pairs = lines.map((line) => /^([^:\s]+):\s*(.*?)\s*$/.exec(line));
  return pairs.includes(null) ? undefined : pairs.flatMap((pair) => [[pair?.[1] ?? '', pair?.[2] ?? '']]);
};

/** Without a name or a value: either may be a secret, by mistake. */
const faultOf = (pairs: readonly (readonly [string, unknown])[]): string | undefined => {
  const names = pairs.map(([name]) => name.toLowerCase());
  if (!names.every((name) => NAME.test(name))) return 'must have names that a header can have';
  if (new Set(names).size < names.length) return 'must not have a name twice';
  if (names.some((name) => OWN.includes(name))) return `must not have ${OWN.join(', ')}`;
  const isFine = (value: unknown) => typeof value === 'string' && VALUE.test(value);
  return pairs.every(([, value]) => isFine(value)) ? undefined : 'must have values of printable ASCII';
};

/** By lower-case name: of an object, or of a text with a `Name: value` on each line. */
export const headersSetting = z
  .unknown()
  .optional()
  .transform((given, issue): Headers => {
    const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
    const pairs =
      given === undefined
        ? []
        : isObject
          ? Object.entries(given)
          : typeof given === 'string'
            ? pairsOf(given)
            : undefined;
    const fault =
      pairs === undefined ? 'must be an object of headers; in a file, a "Name: value" on each line' : faultOf(pairs);
    if (fault !== undefined) issue.addIssue({ code: 'custom', message: fault });
    return Object.fromEntries((pairs ?? []).map(([name, value]) => [name.toLowerCase(), String(value)]));
  });

/** Shorter ones would blank out ordinary words. */
const MIN_SECRET_LENGTH = 6;

/** Any header may be a credential; also without the scheme before it. */
export const secretsOfHeaders = (headers: Headers): string[] => {
  const values = Object.entries(headers).flatMap(([name, value]) => (name === 'content-type' ? [] : [value]));
  const parts = values.flatMap((value) => {
    const credential = /^(?:bearer|basic|token|splunk|apikey)\s+(.+)$/i.exec(value)?.[1];
    return credential === undefined ? [] : [credential, ...decodedPassword(credential)];
  });
  return [...values, ...parts].filter((secret) => secret.length >= MIN_SECRET_LENGTH);
};

const decodedPassword = (credential: string): string[] => {
  const [, ...password] = Buffer.from(credential, 'base64').toString('utf8').split(':');
  return password.length === 0 ? [] : [password.join(':')];
};

/** Parts of an address that often are a credential: query, and long parts of the path. */
export const secretsOfAddress = (url: string): string[] => {
  const { pathname, search, searchParams } = new URL(url);
  const long = pathname.split('/').filter((part) => part.length >= 16);
  return [search.slice(1), ...searchParams.values(), ...long].filter((secret) => secret.length >= MIN_SECRET_LENGTH);
};
