// The first step of a release: whether the checkout is what the tag says. `node scripts/release/check.ts v0.3.0 OWNER/NAME`
import { globSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };

const [tag, repository] = parseArgs({ allowPositionals: true }).positionals;
const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const { version } = manifest;
const faults: string[] = [];
const expect = (holds: boolean, fault: string): void => void (holds || faults.push(fault));

expect(tag === `v${version}`, `the tag is ${tag}, and package.json has ${version}`);
// npm takes no provenance from another repository than the one that the package names.
expect(
  manifest.repository.url === `git+https://github.com/${repository}.git`,
  `package.json names the repository ${manifest.repository.url}, and this is ${repository}`,
);
const [newest = ''] = read('CHANGELOG.md').match(/^## [\s\S]*?(?=^## |$(?![\s\S]))/m) ?? [];
expect(
  new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d\\n\\n### Upgrade notes\\n`).test(
    newest,
  ),
  `CHANGELOG.md does not begin with "## [${version}] - YYYY-MM-DD" and "### Upgrade notes"`,
);
for (const path of globSync('deploy/kubernetes/overlays/*/kustomization.yaml')) {
  expect(read(path).includes(`newTag: ${version} }`), `${path} has another newTag than ${version}`);
}

for (const fault of faults) console.error(`release: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
