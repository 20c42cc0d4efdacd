import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';

// npm run lab clock -- FOLDER [--write PAGE]: how long the steps and the slowest files took that ran with TEST_CLOCK=FOLDER.
const { values, positionals } = parseArgs({ allowPositionals: true, options: { write: { type: 'string' } } });
const [folder = ''] = positionals;
const SLOWEST = 20;

interface Report {
  readonly testResults: readonly { readonly name: string; readonly startTime: number; readonly endTime: number }[];
}

const steps = readFileSync(join(folder, 'steps.tsv'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split('\t'));
const files = globSync(join(folder, '*.json'))
  .flatMap((file) => (JSON.parse(readFileSync(file, 'utf8')) as Report).testResults)
  .map(({ name, startTime, endTime }) => ({ file: relative('.', name), seconds: (endTime - startTime) / 1_000 }))
  .sort((a, b) => b.seconds - a.seconds)
  .slice(0, SLOWEST)
  .map(({ file, seconds }) => [file, seconds.toFixed(1)]);

const table = (title: string, rows: readonly (readonly string[])[]): string =>
  [`| ${title} | seconds |`, '|---|---:|', ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');
const tables = `${table('step', steps)}\n\n${table('file', files)}\n`;
console.log(tables);
if (values.write !== undefined) {
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(
    values.write,
    `# How long the tests take

\`TEST_CLOCK=FOLDER .ci/run\` on ${day}, with ${availableParallelism()} cores (${cpus()[0]?.model.trim()}), then \`npm run lab clock -- FOLDER --write ${values.write}\`. Files are those with the longest time in tests, without that of imports.

${tables}`,
  );
}
