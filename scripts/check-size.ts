import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readPlan, sourceFolder } from './documents/generated.ts';
import { readImports } from './rooms/imports.ts';
import { arrowsOf } from './rooms/rules.ts';

// `npm run check`: how large everything is, against size-limits.json. Who needs more raises the limit in the same commit and says why.
const textOf = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: new URL('..', import.meta.url),
  encoding: 'utf8',
}).split('\0');
const filesOf = (form: RegExp): readonly string[] => tracked.filter((file) => form.test(file));
const linesOf = (file: string): number => textOf(file).split('\n').length - 1;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const wordsOf = (file: string): number => textOf(file).split(/\s+/).filter(Boolean).length;

const sources = filesOf(/^src\/.*\.ts$/)
  .map(linesOf)
  .sort((a, b) => a - b);
const tests = filesOf(/^test\/.*\.ts$/).map(linesOf);
const sizes: Readonly<Record<string, number>> = {
  'files of src': sources.length,
  'lines of src': sum(sources),
  'files of src under 60 lines': sources.filter((lines) => lines < 60).length,
  'lines of the longest file of src': sources.at(-1) ?? 0,
  'arrows between rooms': arrowsOf(readPlan(), readImports(sourceFolder)),
  'lines of SQL': sum(filesOf(/^drizzle\/.*\.sql$/).map(linesOf)),
  'lines of test': sum(tests),
  'lines of the longest file of test': Math.max(...tests),
  'words of docs': sum(filesOf(/^docs\/.*\.md$/).map(wordsOf)),
  'lines of README.md': linesOf('README.md'),
};
const limits: Readonly<Record<string, number>> = JSON.parse(textOf('size-limits.json'));

for (const [name, size] of Object.entries(sizes)) {
  const limit = limits[name] ?? 0;
  console.log(`${name}: ${size.toLocaleString('en')} of ${limit.toLocaleString('en')}`);
  if (size > limit) {
    console.error(`size: ${name}: more than size-limits.json allows`);
    process.exitCode = 1;
  }
}
