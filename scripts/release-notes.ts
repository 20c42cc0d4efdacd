import { readFileSync } from 'node:fs';
import manifest from '../package.json' with { type: 'json' };

// Prints what CHANGELOG.md says of the version of package.json. Exits with 1 if it says nothing.
const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8');
const section = changelog.split(/^## /m).find((text) => text.startsWith(`[${manifest.version}]`));
if (section === undefined) {
  console.error(`CHANGELOG.md has nothing about ${manifest.version}`);
  process.exitCode = 1;
} else console.log(section.slice(section.indexOf('\n')).trim());
