import { didYouMean, nearest } from '../../base/text.ts';
import type { Credential, NamedCredential } from '../../ingest/cloudflare/credentials.ts';
import { isObject, parseObject, type Raw, readSecretFile, repeatedBy } from './secret-settings.ts';

const SETTING = 'CLOUDFLARE_CREDENTIALS';
const EXPECTED = `${SETTING} must be a JSON object of credentials, such as {"acme": {"token": "cfat_…"}}`;
/** The credential of CLOUDFLARE_API_TOKEN, or of CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY. */
export const DEFAULT_CREDENTIAL = 'default';

const MIN_BUDGET = 10;
const MAX_BUDGET = 1_000_000_000;
const members = ['token', 'token_file', 'email', 'key', 'key_file', 'budget', 'accounts', 'organizations'];

/** Adds to `faults` what is wrong, by path, and never a value: any may be a secret, by mistake. Reads the files of secrets. */
export const readCredentials = (
  text: string | undefined,
  standardBudget: number,
  faults: string[],
): readonly NamedCredential[] => {
  if (text === undefined) return [];
  const named = Object.entries(parseObject(text, EXPECTED, faults)).flatMap(([name, raw]) => {
    if (!/^[a-z0-9_-]{1,40}$/.test(name)) {
      faults.push(`${SETTING}: the name of a credential must have 1 to 40 characters of a-z, 0-9, _ and -`);
      return [];
    }
    const path = `${SETTING}.${name}`;
    if (isObject(raw)) return readOne(name, raw, standardBudget, faults);
    faults.push(`${path} must be an object`);
    return [];
  });
  faults.push(...twice(named));
  return named;
};

const readOne = (name: string, raw: Raw, standardBudget: number, faults: string[]): readonly NamedCredential[] => {
  const path = `${SETTING}.${name}`;
  for (const key of Object.keys(raw).filter((each) => !members.includes(each))) {
    const shown = /^\w{1,40}$/.test(key) ? key : '(a member)';
    faults.push(`${path}.${shown} is not a setting of a credential${didYouMean(nearest(key, members, 1))}`);
  }
  const credential = secretsIn(path, raw, faults);
  const budget = readBudget(path, raw['budget'] ?? standardBudget, faults);
  const accounts = readUse(`${path}.accounts`, raw['accounts'], faults);
  const organizations = readUse(`${path}.organizations`, raw['organizations'], faults);
  if (credential === undefined) return [];
  // Without either it is used for everything; with one of them, for that alone.
  const whole = accounts === undefined && organizations === undefined;
  return [{ name, credential, budget, accounts: accounts ?? whole, organizations: organizations ?? whole }];
};

const secretsIn = (path: string, raw: Raw, faults: string[]): Credential | undefined => {
  const before = faults.length;
  const token = readSecret(path, raw, 'token', faults);
  const key = readSecret(path, raw, 'key', faults);
  const email = readText(`${path}.email`, raw['email'], faults);
  if (faults.length > before) return undefined;
  if (token !== undefined && (key !== undefined || email !== undefined)) {
    faults.push(`${path} has a token and an email or a key: set only one way of authenticating`);
    return undefined;
  }
  if (token !== undefined) return { kind: 'token', token };
  if (email !== undefined && key !== undefined) return { kind: 'key', email, key };
  faults.push(`${path} must have a token, or an email and a key`);
  return undefined;
};

const readSecret = (path: string, raw: Raw, name: 'token' | 'key', faults: string[]): string | undefined => {
  const file = raw[`${name}_file`];
  if (file === undefined) return readText(`${path}.${name}`, raw[name], faults);
  if (raw[name] !== undefined) faults.push(`${path}.${name} and ${path}.${name}_file are both set: set only one`);
  if (typeof file === 'string') {
    return readText(`${path}.${name}_file`, readSecretFile(file, `${path}.${name}_file`, faults), faults);
  }
  faults.push(`${path}.${name}_file must be the path of a file`);
  return undefined;
};

const readText = (path: string, value: unknown, faults: string[]): string | undefined => {
  if (value === undefined) return undefined;
  const text = typeof value === 'string' ? value.trim() : '';
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  if (typeof value !== 'string') faults.push(`${path} must be text`);
  else faults.push(`${path} ${text === '' ? 'is empty' : 'has spaces or control characters in it'}`);
  return undefined;
};

const readBudget = (path: string, value: unknown, faults: string[]): number => {
  if (typeof value === 'number' && Number.isInteger(value) && value >= MIN_BUDGET && value <= MAX_BUDGET) return value;
  faults.push(`${path}.budget must be an integer between ${MIN_BUDGET} and ${MAX_BUDGET}`);
  return MIN_BUDGET;
};

const readUse = (path: string, value: unknown, faults: string[]): boolean | readonly string[] | undefined => {
  if (value === undefined || value === true) return value;
  const isId = (id: unknown): id is string => typeof id === 'string' && /^[\w-]{1,64}$/.test(id);
  if (Array.isArray(value) && value.length > 0 && value.every(isId)) return [...new Set(value)];
  faults.push(`${path} must be true, or a list of ids`);
  return undefined;
};

/** The same secret under two names would be counted, listed and tried twice. */
const twice = (credentials: readonly NamedCredential[]): string[] =>
  repeatedBy(credentials, ({ credential }) => credential).map(
    ([{ name }, first]) => `${SETTING}.${name} has the secret of ${SETTING}.${first}`,
  );
