import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';
import { didYouMean, nearest } from '../../base/text.ts';
import type { Credential, NamedCredential } from '../../ingest/cloudflare/credentials.ts';
import { isObject, parseObject, type Raw, readSecretFile, repeatedBy, statOf } from './secret-settings.ts';

const SETTING = 'CLOUDFLARE_CREDENTIALS';
const EXPECTED = `${SETTING} must be a JSON object of credentials, such as {"acme": {"token": "cfat_…"}}`;
/** The credential of CLOUDFLARE_API_TOKEN, or of CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY. */
export const DEFAULT_CREDENTIAL = 'default';

const MIN_BUDGET = 10;
const MAX_BUDGET = 1_000_000_000;
const members = ['token', 'token_file', 'email', 'key', 'key_file', 'budget', 'accounts', 'organizations'];

/** While it runs, a file of the folder that has a fault stops no other: the credential that it had stays. */
export interface LenientRead {
  readonly latest: readonly NamedCredential[];
  readonly faults: string[];
}

/** Adds to `faults` what is wrong, by path, and never a value: any may be a secret, by mistake. Reads the files of secrets. */
export const readCredentials = (
  env: Readonly<Record<string, string>>,
  standardBudget: number,
  faults: string[],
  lenient?: LenientRead,
): readonly NamedCredential[] => {
  const { [SETTING]: text, [FILE_SETTING]: file } = env;
  if (text === undefined)
    return file !== undefined && statOf(file)?.isDirectory() === true
      ? readFolder(file, standardBudget, faults, lenient)
      : [];
  const named = Object.entries(parseObject(text, EXPECTED, faults)).flatMap(([name, raw]) => {
    if (!isName(name)) {
      faults.push(`${SETTING}: ${NAMES}`);
      return [];
    }
    return readOne(`${SETTING}.${name}`, name, raw, standardBudget, faults);
  });
  faults.push(...twice(named).map(([{ name }, first]) => `${SETTING}.${name} has the secret of ${SETTING}.${first}`));
  return named;
};

const FILE_SETTING = `${SETTING}_FILE`;
const NAMES = 'the name of a credential must have 1 to 40 characters of a-z, 0-9, _ and -';
const isName = (name: string): boolean => /^[a-z0-9_-]{1,40}$/.test(name);

interface FolderFile {
  readonly signature: string;
  readonly credential: NamedCredential;
}

/** Of 20,000 files only those that have changed are read. By folder. */
const foldersRead = new Map<string, ReadonlyMap<string, FolderFile>>();

/** A file for each credential, named after it. Mounts of Kubernetes have folders and links that begin with a dot. */
const readFolder = (
  folder: string,
  standardBudget: number,
  faults: string[],
  lenient: LenientRead | undefined,
): readonly NamedCredential[] => {
  const known = foldersRead.get(folder);
  const files = new Map<string, FolderFile>();
  const latest = new Map(lenient?.latest.map((each) => [each.name, each]));
  const found = new Map<string, NamedCredential>();
  const report = lenient?.faults ?? faults;
  for (const file of filesOf(folder, faults)) {
    const { name } = parse(file);
    const own: string[] = [];
    const read = readFileOf(folder, file, known?.get(file), standardBudget, own);
    if (found.has(name)) own.push(`${pathOf(file)}: another file has the name ${name}, too`);
    report.push(...own);
    if (read === undefined && own.length === 0) continue;
    if (read !== undefined) files.set(file, read);
    const credential = own.length === 0 ? read?.credential : latest.get(name);
    if (credential !== undefined && !found.has(name)) found.set(name, credential);
  }
  for (const [{ name }, first] of twice([...found.values()])) {
    report.push(`${FILE_SETTING}: ${name} has the secret of ${first}`);
    found.delete(name);
  }
  foldersRead.set(folder, files);
  return [...found.values()];
};

const filesOf = (folder: string, faults: string[]): readonly string[] => {
  try {
    return readdirSync(folder)
      .filter((file) => !file.startsWith('.'))
      .toSorted();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    faults.push(`${FILE_SETTING}: the directory cannot be read${code}`);
    return [];
  }
};

/** Undefined for a folder, and if it has added to `faults`. */
const readFileOf = (
  folder: string,
  file: string,
  known: FolderFile | undefined,
  standardBudget: number,
  faults: string[],
): FolderFile | undefined => {
  const path = join(folder, file);
  const stats = statOf(path);
  if (stats?.isDirectory() === true) return undefined;
  const signature = [stats?.ino, stats?.size, stats?.mtimeMs, stats?.ctimeMs, standardBudget].join();
  if (stats !== undefined && known?.signature === signature) return known;
  const { name } = parse(file);
  if (!isName(name)) faults.push(`${pathOf(file)}: ${NAMES}`);
  const text = readSecretFile(path, pathOf(file), faults);
  if (text === undefined || !isName(name)) return undefined;
  const raw = text.startsWith('{')
    ? parseObject(text, `${pathOf(file)} must be a token or a JSON object`, faults)
    : text;
  const token = typeof raw === 'string' ? readText(pathOf(file), raw, faults) : undefined;
  if (faults.length > 0) return undefined;
  const [credential] = readOne(pathOf(file), name, token === undefined ? raw : { token }, standardBudget, faults);
  // What it names is read each time.
  const namesFile = isObject(raw) && ('token_file' in raw || 'key_file' in raw);
  return credential && { signature: namesFile ? '' : signature, credential };
};

/** A name may be anything: it is shown without what a log could not carry. */
const pathOf = (file: string): string => `${FILE_SETTING}/${file.replace(/[^\x21-\x7e]/g, '?').slice(0, 80)}`;

const readOne = (
  path: string,
  name: string,
  raw: unknown,
  standardBudget: number,
  faults: string[],
): readonly NamedCredential[] => {
  if (!isObject(raw)) {
    faults.push(`${path} must be an object`);
    return [];
  }
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
const twice = (credentials: readonly NamedCredential[]) => repeatedBy(credentials, ({ credential }) => credential);
