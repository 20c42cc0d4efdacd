import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findWords, readStyle } from './documents/words.ts';

// `npm run check`: whether texts keep to docs/development/style.md.
const root = fileURLToPath(new URL('../', import.meta.url));
const style = readStyle(readFileSync(`${root}docs/development/style.md`, 'utf8'));
const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate'], {
  cwd: root,
  encoding: 'utf8',
});

const checked = /^(src|test|studies|deploy|scripts|bin|docs)\/|^(README|CONTRIBUTING|SECURITY)\.md$/;
const texts = /\.(ts|js|css|sh|sql|md|ya?ml|json|service|conf)$|Dockerfile$/;
const exempt = /^docs\/development\/style\.md$|^test\/unit\/documents\/words\.test\.ts$/;

let found = 0;
for (const path of listed.split('\n')) {
  if (!checked.test(path) || !texts.test(path) || exempt.test(path)) continue;
  for (const { line, word, instead } of findWords(style, readFileSync(`${root}${path}`, 'utf8'))) {
    found += 1;
    console.error(`${path}:${line}: "${word}": write ${instead} (docs/development/style.md)`);
  }
}
process.exitCode = found === 0 ? 0 : 1;
