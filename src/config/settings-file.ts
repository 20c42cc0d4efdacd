import { readFileSync, type Stats, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { OrgtrailError } from '../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface SettingsWithFile {
  readonly environment: Environment;
  /** The file that settings were read from; undefined if there is none. */
  readonly file: string | undefined;
}

const WRITABLE_BY_OTHERS = 0o022;
const credentials = ['CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_API_KEY'];

/**
 * The environment, and below it what a `.env` says: what is in both counts as in the environment. Throws OrgtrailError `configuration`
 * for a file that another account could have written, and for one that would send a credential of the environment elsewhere:
 * `.env` is taken from the working directory, which may be anybody's.
 */
export const withSettingsFile = (environment: Environment, path: string, uid: number | undefined): SettingsWithFile => {
  const file = resolve(path);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { environment, file: undefined };
  refuseForeign(file, stats, uid);
  const said = parseEnv(readFileSync(file, 'utf8'));
  refuseMixture(file, said, environment);
  return { environment: { ...said, ...environment }, file };
};

const refuseForeign = (file: string, { uid: owner, mode }: Stats, uid: number | undefined): void => {
  // Windows has neither.
  if (uid === undefined) return;
  if (owner !== uid && owner !== 0) {
    throw new OrgtrailError('configuration', `${file} belongs to another account (uid ${owner}): it is not read`, {
      hint: `change its owner to the account that runs orgtrail (uid ${uid}), or remove it`,
    });
  }
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    throw new OrgtrailError('configuration', `${file} can be written by other accounts: it is not read`, {
      hint: `chmod go-w ${file}`,
    });
  }
};

const refuseMixture = (file: string, said: Environment, environment: Environment): void => {
  const isSet = (settings: Environment, name: string) => (settings[name] ?? '') !== '';
  if (!isSet(said, 'CLOUDFLARE_BASE_URL') || isSet(environment, 'CLOUDFLARE_BASE_URL')) return;
  const [credential] = credentials.flatMap((name) => [name, `${name}_FILE`]).filter((name) => isSet(environment, name));
  if (credential === undefined) return;
  throw new OrgtrailError(
    'configuration',
    `CLOUDFLARE_BASE_URL of ${file} would get the credential of the environment (${credential})`,
    { hint: 'set CLOUDFLARE_BASE_URL in the environment, too, or put both into the file' },
  );
};
