import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { importsOf, sourceFiles } from '../../scripts/rooms/imports.ts';

/** What runs a file without importing it: a thread, and a process of the bundle. */
const started = /new URL\(\s*'(\.[^']+\.ts)'/g;
const startsBundle = /dist\/orgtrail\.js|'dist'/;
/** All of src, for tests that start processes. */
const bundle = 'dist/orgtrail.js';

/** The tests that may run a file, by what they import. */
export class RelatedTests {
  readonly #texts: ReadonlyMap<string, string>;
  readonly #importers: ReadonlyMap<string, readonly string[]>;

  constructor(checkout: string) {
    const files = ['src', 'test'].flatMap((folder) =>
      sourceFiles(join(checkout, folder)).map((file) => join(folder, file)),
    );
    this.#texts = new Map(files.map((file) => [file, readFileSync(join(checkout, file), 'utf8')]));
    const edges = [...this.#texts].flatMap(([file, text]) => importedBy(file, text).map((to) => ({ file, to })));
    edges.push({ file: bundle, to: 'src/main.ts' });
    this.#importers = new Map(
      [...Map.groupBy(edges, ({ to }) => to)].map(([to, from]) => [to, from.map(({ file }) => file)]),
    );
  }

  /** Nearest first. Of something in SQL, those near to a file that names it. */
  of(file: string, sqlNames: readonly string[] | undefined): string[] {
    const named = sqlNames === undefined ? [file] : this.#naming(sqlNames);
    const steps = new Map(named.map((one) => [one, 0]));
    for (const [one, distance] of steps) {
      for (const importer of this.#importers.get(one) ?? []) {
        if (!steps.has(importer)) steps.set(importer, distance + 1);
      }
    }
    const words = new Set(named.slice(0, 3).flatMap(wordsOf));
    const score = (test: string) =>
      (steps.get(test) ?? 0) - 2 * new Set(wordsOf(test).filter((word) => words.has(word))).size;
    return [...steps.keys()]
      .filter((one) => one.endsWith('.test.ts'))
      .sort((a, b) => score(a) - score(b) || (a < b ? -1 : 1));
  }

  /** Whether any of them runs the bundle. */
  runBundle(tests: readonly string[]): boolean {
    return this.of(bundle, undefined).some((test) => tests.includes(test));
  }

  /** Those that run SQL, if any does: a list of rights names all functions. */
  #naming(names: readonly string[]): string[] {
    const asWord = new RegExp(`\\b(${names.join('|')})\\b`);
    const all = [...this.#texts].filter(([, text]) => asWord.test(text)).map(([file]) => file);
    const running = all.filter((file) => /\.(sql|test)\.ts$/.test(file));
    return running.length > 0 ? running : all;
  }
}

const importedBy = (file: string, text: string): string[] => [
  ...importsOf(file, text).flatMap(({ to, isPackage, typesOnly }) => (isPackage || typesOnly ? [] : [to])),
  ...[...text.matchAll(started)].map(([, to]) => normalize(join(dirname(file), String(to)))),
  ...(file.startsWith('test/') && startsBundle.test(text) ? [bundle] : []),
];

const wordsOf = (path: string): string[] =>
  path
    .split(/[/.-]/)
    .filter((word) => !['src', 'test', 'sql', 'ts', 'unit', 'integration', 'of', 'the'].includes(word));
