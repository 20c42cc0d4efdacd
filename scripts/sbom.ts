import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import manifest from '../package.json' with { type: 'json' };
import lock from '../package-lock.json' with { type: 'json' };

const checkout = fileURLToPath(new URL('..', import.meta.url));

/** The parts of a CycloneDX document that are looked at. */
export interface Sbom {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string; readonly 'bom-ref': string } };
  readonly components: readonly { readonly name: string; readonly version: string; readonly 'bom-ref': string }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** `NAME@VERSION` of each package whose code is in the bundle. Needs `npm run build`. */
export const bundledPackages = (): ReadonlySet<string> =>
  new Set(JSON.parse(readFileSync(join(checkout, 'dist', 'packages.json'), 'utf8')));

interface LockedPackage {
  readonly version: string;
  readonly os?: readonly string[];
  readonly libc?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** `NAME@VERSION` of each package that the image has beside the bundle: DuckDB, for all processors that the image can be built for. */
export const packagesOfImage = (): ReadonlySet<string> => {
  const locked: Readonly<Record<string, LockedPackage>> = lock.packages;
  const found = new Set<string>();
  const add = (name: string): void => {
    const { version, os, libc, dependencies, optionalDependencies } = locked[`node_modules/${name}`] ?? {};
    if (version === undefined) throw new Error(`the lock file does not have ${name}`);
    if (os?.includes('linux') === false || libc?.includes('glibc') === false) return;
    found.add(`${name}@${version}`);
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) add(each);
  };
  add('@duckdb/node-api');
  return found;
};

/** What `npm sbom` says, by the lock file, of the packages whose code is in the bundle or beside it in the image. */
export const makeSbom = (): Sbom => {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'];
  const text = execFileSync('npm', args, { cwd: checkout, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const sbom: Sbom = JSON.parse(text);
  const kept = new Set([...bundledPackages(), ...packagesOfImage(), sbom.metadata.component['bom-ref']]);
  return {
    ...sbom,
    // npm takes the name from the folder.
    metadata: { ...sbom.metadata, component: { ...sbom.metadata.component, name: manifest.name } },
    components: sbom.components.filter((component) => kept.has(component['bom-ref'])),
    dependencies: sbom.dependencies
      .filter(({ ref }) => kept.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => kept.has(each)) })),
  };
};
