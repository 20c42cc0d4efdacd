import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from '../../scripts/rooms/imports.ts';
import { drawMutants, type Mutant } from './draw.ts';
import { RelatedTests } from './related-tests.ts';
import { ThrowawayCopy } from './throwaway-copy.ts';

const help = `npm run lab mutants -- [--count 30] [--seed 1] [--only 'src/ingest/**'] [--tests npm-test|all] [--most 24] [--survivors FILE] [--json FILE]

Plants one small fault after another, drawn at random, in a copy of the checkout: other operators, conditions that always or never hold, other
numbers, calls and statements left out, in TypeScript, in the SQL texts in it and in drizzle/schema. Then it runs the tests
that may notice, up to the first that fails, and prints which faults none has noticed.

  --only       a glob of files
  --tests      npm-test: those that \`npm test\` runs. all: after them long, e2e, simulation, trouble, sinks, browser
  --most       so many files of each kind (unit; others of npm test; the rest), nearest first by imports and names. 0: all that import the file
  --survivors  instead of drawing, the mutants that survived in the JSON of another run, for instance with --most 0
  --json       writes the results

A fault that is no valid SQL, and one that the schema cannot be made with, is not counted: the next one is drawn. At the end the tests that
have noticed something run once without any fault; where one fails then too, its mutant is unclear. \`npm run check\` is not run.

Before and after a change: the draw depends on the seed and on the text of each line with the name declared around it, not on its file, so the
same seed plants the same faults in the lines that were only moved. Compare results by "id":
  jq -s '[.[].mutants] as [$a, $b] | [$a[] | . as $x | $b[] | select(.id == $x.id) | {id, before: $x.verdict, after: .verdict}]' BEFORE AFTER`;

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '{src,drizzle}/**' },
    tests: { type: 'string', default: 'npm-test' },
    most: { type: 'string', default: '24' },
    survivors: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});

interface Result {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly change: string;
  verdict: 'caught' | 'survived' | 'invalid' | 'unclear';
  /** `file: test`, or what else stopped it. */
  readonly by: string | undefined;
  /** Files of tests that ran, and that import the file. */
  readonly ran: number;
  readonly related: number;
  readonly seconds: number;
}

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const kinds = [['unit'], ['documents', 'deploy', 'integration', 'smoke']];
if (values.tests === 'all') kinds.push(['long', 'e2e', 'simulation', 'trouble', 'sinks', 'browser']);
/** So many of each kind run first: most faults are noticed by them. */
const NEAREST = 6;
const comparesTheSchema = 'test/integration/postgres/schema.test.ts';

const oneLine = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > 70 ? `${line.slice(0, 69)}…` : line;
};

const batchesOf = (related: readonly string[]): string[][] => {
  const most = Number(values.most) || Number.POSITIVE_INFINITY;
  return kinds
    .map((folders) => related.filter((file) => folders.includes(file.split('/')[1] ?? '')).slice(0, most))
    .flatMap((files) => [files.slice(0, NEAREST), files.slice(NEAREST)])
    .filter((files) => files.length > 0);
};

const isTypescript = (text: string): boolean => {
  try {
    return parse(text) !== undefined;
  } catch {
    return false;
  }
};

const judge = async (
  copy: ThrowawayCopy,
  tests: RelatedTests,
  { id, file, line, fault, sqlNames }: Mutant,
): Promise<Result> => {
  const path = join(copy.path, file);
  const source = readFileSync(path, 'utf8');
  const found = source.slice(fault.start, fault.end);
  const lineText = source.split('\n')[line - 1] ?? '';
  const change = `${oneLine(found)} → ${fault.text.trim() === '' ? 'nothing' : fault.text}${found.includes('\n') ? '' : `   in: ${oneLine(lineText)}`}`;
  const mutated = source.slice(0, fault.start) + fault.text + source.slice(fault.end);
  const startMs = performance.now();
  let ran = 0;
  const related = tests.of(file, sqlNames).filter((test) => test !== comparesTheSchema);
  const result = (verdict: Result['verdict'], by?: string): Result => {
    const seconds = Math.round((performance.now() - startMs) / 100) / 10;
    return { id, file, line, change, verdict, by, ran, related: related.length, seconds };
  };
  if (file.endsWith('.ts') && !isTypescript(mutated)) return result('invalid');
  writeFileSync(path, mutated);
  try {
    for (const batch of batchesOf(related)) {
      const { outcome, failed, output } = await copy.run(batch, { bail: true, withBundle: tests.runBundle(batch) });
      ran += batch.length;
      if (outcome === 'green') continue;
      const isUnapplied = outcome === 'set-up failed' && sqlNames !== undefined;
      if (isUnapplied || /syntax error at or near/.test(output)) return result('invalid');
      return result('caught', failed[0] ?? outcome);
    }
    return result('survived');
  } finally {
    writeFileSync(path, source);
  }
};

/** Those whose test fails without a fault, too, tell nothing. */
const doubt = async (copy: ThrowawayCopy, results: readonly Result[]): Promise<void> => {
  const files = new Set(results.flatMap(({ by }) => /^(.*\.test\.ts): /.exec(by ?? '')?.[1] ?? []));
  if (files.size === 0) return;
  const { failed } = await copy.run([...files]);
  for (const result of results) if (failed.includes(result.by ?? '')) result.verdict = 'unclear';
};

const shown = ({ file, line, change, verdict, by, ran, related, seconds, id }: Result): string =>
  `${file}:${line}  ${change}\n    ${verdict === 'survived' ? `SURVIVED ${ran} files of tests` : verdict}${by === undefined ? '' : ` by ${by}`} (${seconds} s, ${ran} of ${related}, ${id})`;

const main = async (): Promise<void> => {
  const startMs = performance.now();
  const again = values.survivors === undefined ? undefined : JSON.parse(readFileSync(values.survivors, 'utf8')).mutants;
  const ids = again?.filter((one: Result) => one.verdict === 'survived').map((one: Result) => one.id);
  const drawn = drawMutants(checkout, values.seed, values.only).filter(
    ({ id }) => ids === undefined || ids.includes(id),
  );
  const count = ids === undefined ? Number(values.count) : drawn.length;
  const copy = new ThrowawayCopy(checkout);
  const results: Result[] = [];
  const counted = () => results.filter(({ verdict }) => verdict === 'caught' || verdict === 'survived');
  let isStopped = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      isStopped = true;
      copy.kill();
    });
  }
  try {
    const tests = new RelatedTests(copy.path);
    for (const mutant of drawn) {
      if (counted().length >= count) break;
      const result = await judge(copy, tests, mutant);
      if (isStopped) break;
      results.push(result);
      console.log(shown(result));
    }
    if (!isStopped) await doubt(copy, results);
  } finally {
    await copy.remove();
  }
  const [all, survivors] = [counted(), results.filter(({ verdict }) => verdict === 'survived')];
  const caught = all.length - survivors.length;
  const share = all.length === 0 ? 0 : caught / all.length;
  const seconds = Math.round((performance.now() - startMs) / 1_000);
  for (const [title, verdict] of [
    ['survived', 'survived'],
    ['unclear: its test fails without a fault, too', 'unclear'],
  ]) {
    const those = results.filter((one) => one.verdict === verdict);
    if (those.length > 0) console.log(`\n${title}:\n${those.map(shown).join('\n')}`);
  }
  console.log(
    `\n${caught} of ${all.length} caught (${(100 * share).toFixed(1)} %), ${results.length - all.length} not counted, ${seconds} s`,
  );
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: checkout, encoding: 'utf8' }).trim();
  const report = { commit, options: values, share, caught, of: all.length, seconds, mutants: results };
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
};

if (values.help === true) console.log(help);
else await main();
