import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Those of a platform are named as well: npm leaves out some that are optional. */
const wanted = {
  chdb: '3.4.0',
  '@chdb/lib-linux-x64-gnu': '26.7.3-stable.1',
  'parquet-wasm': '0.8.0',
  'apache-arrow': '21.2.0',
  'nodejs-polars': '0.26.1',
  'nodejs-polars-linux-x64-gnu': '0.26.1',
} as const;

type PackageName = keyof typeof wanted;

/** Engines that are no dependencies of this package: 600 MB, installed beside it. */
export interface Packages {
  /** What the package exports; the caller says its type. */
  load<T>(name: PackageName): T;
  versionOf(name: PackageName): Promise<string>;
}

/** Installs with npm what is not in the directory yet, in these versions and without install scripts. Rejects if npm fails. */
export const installPackages = async (directory: string): Promise<Packages> => {
  await mkdir(directory, { recursive: true });
  const text = JSON.stringify({ private: true, dependencies: wanted });
  const manifest = join(directory, 'package.json');
  const before = await readFile(manifest, 'utf8').catch(() => undefined);
  if (before !== text) {
    await writeFile(manifest, text);
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock'];
    await promisify(execFile)('npm', ['install', ...options], { cwd: directory });
  }
  const require = createRequire(join(directory, 'package.json'));
  return {
    load: (name) => require(name),
    versionOf: async (name) =>
      JSON.parse(await readFile(join(directory, 'node_modules', name, 'package.json'), 'utf8')).version,
  };
};
