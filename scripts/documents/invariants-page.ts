import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** docs/INVARIANTS.md with the files whose titles of tests name each invariant, as "(invariants 2 and 4)" or "invariant 6: …". */
export const invariantsPage = (): string => {
  const files = execFileSync('git', ['ls-files', '-z', 'test/**/*.test.ts'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '')
    .map((file) => ({ file, named: namedIn(read(file)) }));
  const testsOf = (number: number): string => {
    const own = files.filter(({ named }) => named.has(number));
    if (own.length === 0) throw new Error(`no test names invariant ${number} in its title`);
    return own.map(({ file }) => `[${basename(file, '.test.ts')}](../${file})`).join(', ');
  };
  return read('docs/INVARIANTS.md').replaceAll(
    /^(\d+)(\. .*\n {4}Tests:).*$/gm,
    (_, number: string, text: string) => `${number}${text} ${testsOf(Number(number))}`,
  );
};

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

const namedIn = (test: string): ReadonlySet<number> =>
  new Set(
    [...test.matchAll(/\binvariants? (\d+(?:(?:, | and )\d+)*)/g)].flatMap(([, list = '']) =>
      list.split(/, | and /).map(Number),
    ),
  );
