import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import manifest from '../../../package.json' with { type: 'json' };

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

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

/** What `npm sbom` says, by the lock file, of the packages whose code is in the bundle. */
export const makeSbom = (): Sbom => {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'];
  const text = execFileSync('npm', args, { cwd: checkout, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const sbom: Sbom = JSON.parse(text);
  const kept = new Set([...bundledPackages(), sbom.metadata.component['bom-ref']]);
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
