import { readFileSync, type Stats, statSync } from 'node:fs';
import type { Credential } from '../../ingest/cloudflare/credentials.ts';

/** Each may also come from a file, as `NAME_FILE`. */
export const secretNames = [
  'CLOUDFLARE_API_TOKEN',
  'CLOUDFLARE_API_KEY',
  'CLOUDFLARE_EMAIL',
  'CLOUDFLARE_CREDENTIALS',
  'DATABASE_URL',
  'ORGTRAIL_FEED_TOKEN',
  'ORGTRAIL_SINKS',
  'ORGTRAIL_EVIDENCE_S3_ACCESS_KEY',
  'ORGTRAIL_EVIDENCE_S3_SECRET_KEY',
  'ORGTRAIL_ARCHIVE_S3_ACCESS_KEY',
  'ORGTRAIL_ARCHIVE_S3_SECRET_KEY',
] as const;

export const namesWithFile = [...secretNames, 'ORGTRAIL_EVIDENCE_ANCHORS'] as const;

/** Adds to `faults`, and never names a path or a value there: either may be the secret itself, by mistake. */
export const withSecretFiles = (env: Record<string, string>, faults: string[]): Record<string, string> => {
  const result = { ...env };
  for (const name of namesWithFile) {
    const file = env[`${name}_FILE`];
    if (file === undefined) continue;
    if (env[name] !== undefined) faults.push(`${name} and ${name}_FILE are both set: set only one`);
    // Of credentials it may be a folder (credentials.ts).
    if (name === 'CLOUDFLARE_CREDENTIALS' && statOf(file)?.isDirectory() === true) continue;
    const secret = readSecretFile(file, `${name}_FILE`, faults);
    if (secret !== undefined) result[name] = secret;
  }
  return result;
};

/** Undefined if it cannot be told. */
export const statOf = (path: string): Stats | undefined => {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
};

/** Adds to `faults`, as `setting`, why it holds none; then undefined. */
export const readSecretFile = (file: string, setting: string, faults: string[]): string | undefined => {
  try {
    const secret = readFileSync(file, 'utf8').trim();
    if (secret !== '') return secret;
    faults.push(`${setting}: the file is empty`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    faults.push(`${setting}: the file cannot be read${code}`);
  }
  return undefined;
};

/** Adds to `faults`, without the values. */
export const readCredential = (
  env: Record<string, string>,
  needed: boolean,
  faults: string[],
): Credential | undefined => {
  const token = env['CLOUDFLARE_API_TOKEN']?.trim();
  const email = env['CLOUDFLARE_EMAIL']?.trim();
  const key = env['CLOUDFLARE_API_KEY']?.trim();
  for (const [name, value] of Object.entries({
    CLOUDFLARE_API_TOKEN: token,
    CLOUDFLARE_EMAIL: email,
    CLOUDFLARE_API_KEY: key,
  })) {
    if (value !== undefined && !/^[\x21-\x7e]+$/.test(value))
      faults.push(`${name} has spaces or control characters in it`);
  }
  if (token !== undefined && key !== undefined) {
    faults.push('CLOUDFLARE_API_TOKEN and CLOUDFLARE_API_KEY are both set: set only one way of authenticating');
  }
  if (token !== undefined) return { kind: 'token', token };
  if (email !== undefined && key !== undefined) return { kind: 'key', email, key };
  if (key !== undefined) faults.push('CLOUDFLARE_API_KEY needs CLOUDFLARE_EMAIL beside it');
  else if (needed) faults.push('no credential: set CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY');
  return undefined;
};

export type Raw = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The object of a setting in JSON; an empty one if it has added to `faults` that it must be what `expected` says. */
export const parseObject = (text: string, expected: string, faults: string[]): Raw => {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
    faults.push(expected);
  } catch (error) {
    // What the parser says beyond the place is a piece of the text.
    const place = /position \d+/.exec(error instanceof Error ? error.message : '')?.[0];
    faults.push(`${expected}${place === undefined ? '' : `: it ends being JSON at ${place}`}`);
  }
  return {};
};

/** Those that have the same as one before them, with the name of the first. An undefined `own` is no one else's. */
export const repeatedBy = <T extends { readonly name: string }>(
  all: readonly T[],
  own: (one: T) => unknown,
): readonly (readonly [T, first: string])[] => {
  const groups = Map.groupBy(all, (one) => JSON.stringify(own(one)));
  return all.flatMap((one) => {
    const first = own(one) === undefined ? one : groups.get(JSON.stringify(own(one)))?.[0];
    return first === undefined || first === one ? [] : [[one, first.name] as const];
  });
};
