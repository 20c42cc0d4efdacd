// The notes of a release: what CHANGELOG.md says of the version of package.json, and the image by its digest.
// `node scripts/release/notes.ts IMAGE@DIGEST`. Exits with 1 if CHANGELOG.md says nothing.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };

const [image] = parseArgs({ allowPositionals: true }).positionals;
const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
const section = changelog.split(/^## /m).find((text) => text.startsWith(`[${manifest.version}]`));
if (section === undefined) {
  console.error(`CHANGELOG.md has nothing about ${manifest.version}`);
  process.exitCode = 1;
} else {
  console.log(section.slice(section.indexOf('\n')).trim());
  console.log(`\n### Image\n\n\`${image}\` (linux/amd64, linux/arm64): SECURITY.md says how to verify it.`);
}
