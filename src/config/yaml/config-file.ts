import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { databasePasswords } from '../../postgres/database-url.ts';
import { sinkSecrets } from '../../sinks/registry.ts';
import { secretNames } from '../secret-settings.ts';
import { foreignFault } from '../settings-file.ts';
import { keyOf } from '../settings-list.ts';
import { readYamlSettings, type YamlSettings } from './yaml-settings.ts';

export interface ConfigFile extends YamlSettings {
  /** Its absolute path; undefined: none is named. */
  readonly file: string | undefined;
  readonly warnings: readonly string[];
}

const MAX_BYTES = 1024 * 1024;
const READABLE_BY_ALL = 0o004;

/**
 * Reads the YAML file that ORGTRAIL_CONFIG names. Its faults tell why it cannot be read, too: like `.env` it must belong to this account
 * or to root, and no other account may write to it.
 */
export const readConfigFile = (path: string | undefined): ConfigFile => {
  if (path === undefined) return { file: undefined, ...nothing, faults: [], warnings: [] };
  const file = resolve(path);
  const refused = (message: string): ConfigFile => ({
    file,
    ...nothing,
    faults: [{ message: `ORGTRAIL_CONFIG: ${message}` }],
    warnings: [],
  });
  try {
    const stats = statSync(file);
    if (!stats.isFile()) return refused(`${file} is not a regular file`);
    const foreign = foreignFault(file, stats, process.geteuid?.());
    if (foreign !== undefined) return refused(`${foreign.message} (${foreign.hint})`);
    if (stats.size > MAX_BYTES) return refused(`${file} is larger than 1 MiB`);
    const read = readYamlSettings(readFileSync(file, 'utf8'), file);
    return { file, ...read, warnings: (stats.mode & READABLE_BY_ALL) === 0 ? [] : openSecrets(file, read) };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    return refused(`${file} cannot be read (${String(error.code)})`);
  }
};

const nothing: Pick<YamlSettings, 'settings' | 'places'> = { settings: {}, places: new Map() };

/** A warning, if a file that every account can read has a secret in it. */
const openSecrets = (file: string, { settings }: YamlSettings): string[] => {
  if (process.geteuid === undefined) return [];
  const names = secretNames.filter((name) => holdsSecret(name, settings[name] ?? ''));
  if (names.length === 0) return [];
  return [
    `${file} can be read by every account, and has a secret in ${names.map(keyOf).join(', ')}: chmod o-r ${file}`,
  ];
};

const holdsSecret = (name: string, text: string): boolean => {
  if (name === 'DATABASE_URL') return databasePasswords(text).length > 0;
  if (name === 'ORGTRAIL_SINKS') return sinkSecrets.some((key) => text.includes(`"${key}":`));
  if (name === 'CLOUDFLARE_CREDENTIALS') return /"(?:token|key)":/.test(text);
  return text !== '';
};

/** The settings of the file that count: one that the environment has, itself or as `NAME_FILE`, is that of the environment. */
export const settingsBelow = (
  { settings }: YamlSettings,
  environment: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).filter(([name]) => {
      const plain = name.replace(/_FILE$/, '');
      return environment[plain] === undefined && environment[`${plain}_FILE`] === undefined;
    }),
  );
