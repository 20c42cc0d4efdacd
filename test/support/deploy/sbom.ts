import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import manifest from '../../../package.json' with { type: 'json' };
import lock from '../../../package-lock.json' with { type: 'json' };

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

/** The parts of a CycloneDX document that are looked at. */
export interface Sbom {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string; readonly 'bom-ref': string } };
  readonly components: readonly { readonly name: string; readonly version: string; readonly 'bom-ref': string }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** `NAME@VERSION` of each package that the Dockerfile installs, by the lock file. */
export const installedPackages = (): ReadonlySet<string> => {
  const packages = Object.entries(lock.packages as Readonly<Record<string, LockedPackage>>);
  return new Set(
    packages
      .filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional)
      .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`),
  );
};

/**
 * What `npm sbom` says of the packages that the Dockerfile installs: by the lock file, whatever is installed here. Its own `--omit` also
 * leaves out packages that orgtrail needs, where another one names them as an optional peer (zod, undici).
 */
export const makeSbom = (): Sbom => {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'];
  const text = execFileSync('npm', args, { cwd: checkout, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const sbom: Sbom = JSON.parse(text);
  const kept = new Set([...installedPackages(), sbom.metadata.component['bom-ref']]);
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
