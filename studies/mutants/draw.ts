import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultsOfSql, madeObjects } from './faults-of-sql.ts';
import { faultsOfTypescript } from './faults-of-typescript.ts';

/** A change of a file that a test should notice. */
export interface Fault {
  readonly start: number;
  readonly end: number;
  /** What stands there instead. */
  readonly text: string;
}

export interface Mutant {
  /** Of the text of its line, wherever that stands: the same one after a move. */
  readonly id: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly fault: Fault;
  /** In the order that a seed gives. */
  readonly rank: string;
  /** Of the function, view, table or index, in the schema, and of what calls it there. */
  readonly sqlNames?: readonly string[];
}

/** All mutants below `src` and `drizzle`, one for a line, in the order of a seed. It has to do with their texts alone. */
export const drawMutants = (checkout: string, seed: string, only: string): Mutant[] => {
  const used = new Map<string, number>();
  const byLine = new Map<string, Mutant>();
  for (const { file, source, faults } of readFaults(checkout)) {
    const declared = [...source.matchAll(declarations)].map(({ index, 1: name }) => ({ index, name }));
    for (const { sqlNames, ...fault } of faults) {
      const key = [declared.findLast(({ index }) => index < fault.start)?.name, ...textKey(source, fault)].join('\n');
      const times = (used.get(key) ?? 0) + 1;
      used.set(key, times);
      const id = hash(`${key}\n${times}`).slice(0, 12);
      const line = source.slice(0, fault.start).split('\n').length;
      const mutant = {
        id,
        file,
        line,
        fault,
        rank: hash(`${seed} ${id}`),
        ...(sqlNames !== undefined && { sqlNames }),
      };
      const other = byLine.get(`${file}:${line}`);
      if (other === undefined || mutant.rank < other.rank) byLine.set(`${file}:${line}`, mutant);
    }
  }
  const matching = new Set(globSync(only, { cwd: checkout }));
  return [...byLine.values()].filter(({ file }) => matching.has(file)).sort((a, b) => (a.rank < b.rank ? -1 : 1));
};

type NamedFault = Fault & Pick<Mutant, 'sqlNames'>;

const readFaults = (
  checkout: string,
): { readonly file: string; readonly source: string; readonly faults: readonly NamedFault[] }[] => {
  const read = (pattern: string) =>
    new Map(
      globSync(pattern, { cwd: checkout })
        .sort()
        .map((file) => [file, readFileSync(join(checkout, file), 'utf8')] as const),
    );
  const sources = read('src/**/*.ts');
  // Databases of tests are made from it; migrations are for older ones.
  const schema = read('drizzle/schema/*.sql');
  const live = madeObjects(schema);
  const objects = [...live].flatMap(([file, made]) =>
    made.map((object) => ({ ...object, words: wordsOf(schema.get(file)?.slice(object.start, object.end) ?? '') })),
  );
  // The list of rights names functions that nothing calls, too.
  const called = wordsOf([...sources].filter(([file]) => file !== 'src/postgres/role-rights.ts').join('\n'));
  const withCallers = (name: string): string[] => {
    const names = new Set([name]);
    for (const one of names) {
      for (const object of objects) if (object.isFunction && object.words.has(one)) names.add(object.name);
    }
    return [...names];
  };
  return [
    ...[...sources].map(([file, source]) => ({
      file,
      source,
      faults: faultsOfTypescript(source, file.endsWith('.sql.ts')),
    })),
    ...[...live].map(([file, made]) => {
      const source = schema.get(file) ?? '';
      const faults = made.flatMap(({ name, isFunction, start, end }) => {
        const sqlNames = withCallers(name);
        if (isFunction && !sqlNames.some((one) => called.has(one))) return [];
        return faultsOfSql(source, start, end).map((fault) => ({ ...fault, sqlNames }));
      });
      return { file, source, faults };
    }),
  ];
};

const wordsOf = (text: string): ReadonlySet<string> =>
  new Set(text.replaceAll(/--.*|\/\*[\s\S]*?\*\//g, '').match(/\w+/g));

const declarations = /^(?:export )?(?:async )?(?:const|function|class|create.*?) (\w+)/gm;

/** What tells a fault apart: its line, its place in there, what it changes and into what. */
const textKey = (source: string, { start, end, text }: Fault): readonly (string | number)[] => {
  const lineStart = source.lastIndexOf('\n', start - 1) + 1;
  const lineEnd = source.indexOf('\n', start);
  const line = source.slice(lineStart, lineEnd === -1 ? undefined : lineEnd);
  const indent = line.length - line.trimStart().length;
  return [line.trim(), start - lineStart - indent, source.slice(start, end), text];
};

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
