import { readFileSync, type Stats, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { OrgtrailError } from '../../base/errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const WRITABLE_BY_OTHERS = 0o022;
const credentials = ['CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_API_KEY', 'CLOUDFLARE_CREDENTIALS'];

/**
 * The environment, and below it what a `.env` says: what is in both counts as in the environment. Throws OrgtrailError `configuration` for
 * a file that another account could have written, and for one that could send a credential of the environment elsewhere: `.env` is taken
 * from the working directory, which another user may own.
 */
export const withSettingsFile = (environment: Environment, path: string, uid: number | undefined) => {
  const file = resolve(path);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { environment, file: undefined, names: [] as string[] };
  const foreign = foreignFault(file, stats, uid);
  if (foreign !== undefined) throw new OrgtrailError('configuration', foreign.message, { hint: foreign.hint });
  const said = parseEnv(readFileSync(file, 'utf8'));
  refuseMixture(file, said, environment);
  const names = Object.keys(said).filter((name) => environment[name] === undefined);
  return { environment: { ...said, ...environment } as Environment, file, names };
};

export const foreignFault = (
  file: string,
  { uid: owner, mode }: Pick<Stats, 'uid' | 'mode'>,
  uid: number | undefined,
): { readonly message: string; readonly hint: string } | undefined => {
  // Windows has neither.
  if (uid === undefined) return undefined;
  if (owner !== uid && owner !== 0) {
    return {
      message: `${file} belongs to another account (uid ${owner}): it is not read`,
      hint: `change its owner to the account that runs orgtrail (uid ${uid}), or remove it`,
    };
  }
  if ((mode & WRITABLE_BY_OTHERS) === 0) return undefined;
  return { message: `${file} can be written by other accounts: it is not read`, hint: `chmod go-w ${file}` };
};

const refuseMixture = (file: string, said: Environment, environment: Environment): void => {
  const isSet = (settings: Environment, name: string) => (settings[name] ?? '') !== '';
  // The file that ORGTRAIL_CONFIG names may have a CLOUDFLARE_BASE_URL, too.
  const [leading] = ['CLOUDFLARE_BASE_URL', 'ORGTRAIL_CONFIG'].filter(
    (name) => isSet(said, name) && !isSet(environment, name),
  );
  if (leading === undefined || isSet(environment, 'CLOUDFLARE_BASE_URL')) return;
  const [credential] = credentials.flatMap((name) => [name, `${name}_FILE`]).filter((name) => isSet(environment, name));
  if (credential === undefined) return;
  throw new OrgtrailError(
    'configuration',
    leading === 'ORGTRAIL_CONFIG'
      ? `ORGTRAIL_CONFIG of ${file} could send the credential of the environment (${credential}) elsewhere`
      : `CLOUDFLARE_BASE_URL of ${file} would get the credential of the environment (${credential})`,
    { hint: `set ${leading} in the environment, too, or put both into the file` },
  );
};
