import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };

export const version: string = manifest.version;

/** A path from the root of the package, such as `drizzle`: code runs from src/ in a checkout and from a bundle when installed. */
export const packageFile = (path: string): string => join(packageRoot, path);

const findPackageRoot = (folder: string): string => {
  if (existsSync(join(folder, 'package.json')) && existsSync(join(folder, 'drizzle'))) return folder;
  if (dirname(folder) === folder) throw new Error('the files of the orgtrail package cannot be found');
  return findPackageRoot(dirname(folder));
};

const packageRoot = findPackageRoot(import.meta.dirname);
