import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { drawMutants, type Fault } from '../../../studies/mutants/draw.ts';
import { faultsOfSql, madeObjects } from '../../../studies/mutants/faults-of-sql.ts';
import { faultsOfTypescript } from '../../../studies/mutants/faults-of-typescript.ts';
import { RelatedTests } from '../../../studies/mutants/related-tests.ts';

let checkout: string;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'orgtrail-test-'));
});

afterEach(() => rmSync(checkout, { recursive: true }));

test('operators, conditions, numbers, calls and statements of TypeScript are changed, types are not', () => {
  const source = 'const f = (a: 1 | 2): void => { if (!a) g(a ?? 3); };';
  expect(applied(source, faultsOfTypescript(source, false))).toEqual([
    'const f = (a: 1 | 2): void => { if (true) g(a ?? 3); };',
    'const f = (a: 1 | 2): void => { if (false) g(a ?? 3); };',
    'const f = (a: 1 | 2): void => { if (a) g(a ?? 3); };',
    'const f = (a: 1 | 2): void => { if (!a) ; };',
    'const f = (a: 1 | 2): void => { if (!a) g(a); };',
    'const f = (a: 1 | 2): void => { if (!a) g(a ?? 4); };',
  ]);
});

test('conditions of SQL are changed, its assignments, texts and comments are not', () => {
  const source = "update t set a = b -- and\nwhere c = 'x and y' and d is null";
  expect(applied(source, faultsOfSql(source, 0, source.length))).toEqual([
    "update t set a = b -- and\nwhere c = 'x and y' or d is null",
    "update t set a = b -- and\nwhere c = 'x and y' and d is not null",
    "update t set a = b -- and\nwhere c <> 'x and y' and d is null",
  ]);
  expect(faultsOfTypescript('const q = `where a = b and c is null`;', false)).toHaveLength(3);
});

test('what the schema makes is found by its names, whatever stands in texts and comments', () => {
  const text =
    "-- why; so\ncreate function a() as $$ select ';' $$;\n\ncreate unique index b on t (c);\ncomment on table t is 'create view d;';";
  const made = madeObjects(new Map([['schema/a.sql', text]])).get('schema/a.sql');
  expect(made?.map(({ name, isFunction }) => [name, isFunction])).toEqual([
    ['a', true],
    ['b', false],
  ]);
});

test('a seed draws the same mutants, one for a line, also after a move', () => {
  write('src/a.ts', 'export const size = (a: number): number =>\n  a > 1 ? a + 2\n  : 3 * a;\n');
  write('src/b.ts', 'export const twice = (a: number): number => a * 2;\n');
  const draw = (seed: string) => drawMutants(checkout, seed, '{src,drizzle}/**');
  const before = draw('1');
  expect(before).toHaveLength(3);
  expect(draw('2').map(({ id }) => id)).not.toEqual(before.map(({ id }) => id));
  mkdirSync(join(checkout, 'src/room'));
  renameSync(join(checkout, 'src/a.ts'), join(checkout, 'src/room/z.ts'));
  expect(draw('1').map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  expect(drawMutants(checkout, '1', 'src/b.ts').map(({ file }) => file)).toEqual(['src/b.ts']);
});

test('tests run nearest first; those of processes see all of src; those of SQL are near to who names it', () => {
  write('src/far.ts', '');
  write('src/near.ts', "import './far.ts';");
  write('src/main.ts', "import './near.ts'; const sql = 'select f()';");
  write('test/unit/one.test.ts', "import '../../src/near.ts';");
  write('test/unit/two.test.ts', "import '../../src/far.ts';");
  write('test/unit/types.test.ts', "import type { A } from '../../src/far.ts';");
  write('test/e2e/process.test.ts', "spawn('dist/orgtrail.js');");
  const tests = new RelatedTests(checkout);
  expect(tests.of('src/far.ts', undefined)).toEqual([
    'test/unit/two.test.ts',
    'test/unit/one.test.ts',
    'test/e2e/process.test.ts',
  ]);
  expect(tests.of('drizzle/0.sql', ['f'])).toEqual(['test/e2e/process.test.ts']);
  expect(tests.runBundle(['test/unit/one.test.ts'])).toBe(false);
});

const write = (file: string, text: string): void => {
  mkdirSync(dirname(join(checkout, file)), { recursive: true });
  writeFileSync(join(checkout, file), text);
};

const applied = (source: string, faults: readonly Fault[]): string[] =>
  faults.map(({ start, end, text }) => source.slice(0, start) + text + source.slice(end));
