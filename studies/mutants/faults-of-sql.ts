import type { Fault } from './draw.ts';

type Replacement = string | ((found: string) => string);

const swapped = (one: string, other: string) => (found: string) => (found === one ? other : one);

const rules: readonly (readonly [RegExp, Replacement])[] = [
  [/(?<!\bbetween\s+\S+\s+)\band\b/g, 'or'],
  [/\bor\b(?! replace)/g, 'and'],
  [/(?<=\bis )(not )?null\b/g, swapped('null', 'not null')],
  [/(?<=\bis )(not )?distinct from\b/g, swapped('distinct from', 'not distinct from')],
  [/\bnot (?=exists ?\(|in\b|like|\(|\w+\.|coalesce)/g, ''],
  [/(?<!\b(not|if) )\bexists(?= ?\()/g, 'not exists'],
  [/(?<=\s)(<=?|>=?)(?=\s)/g, (found) => (found.endsWith('=') ? found.slice(0, 1) : `${found}=`)],
  // After a word that begins a condition: elsewhere it assigns.
  [/(?<=\b(?:where|and|or|on|when|if|elsif|having|not)\s+\(?[^\s<>=;]+\s)=(?=\s)/g, '<>'],
  [/(?<=\s)<>(?=\s)/g, '='],
  [/ desc\b/g, ''],
  [/(?<=\bselect )distinct (?!on)/g, ''],
  [/\bleft join\b/g, 'join'],
  [/\bunion\b(?: all)?/g, swapped('union', 'union all')],
  [/\b(min|max)(?=\()/g, swapped('min', 'max')],
  [/\b(least|greatest)(?=\()/g, swapped('least', 'greatest')],
  [/\b(true|false)\b/g, swapped('true', 'false')],
  [/ for (no key )?update( of \w+)?( skip locked| nowait)?/g, ''],
  [/(?<=[\w)] )[+-](?= [\w(])/g, swapped('+', '-')],
  [/(?<![\w.$'"])\d+(?![\w.'"])/g, (found) => String(Number(found) + 1)],
];
/** In the body of a function in PL/pgSQL. */
const statement = /(?<=\n[ \t]*)(?:perform|raise|delete from|update|insert into|[\w.]+ :=)\b[^;]*;/g;

/** The faults of SQL that stands in `source` from `start` to `end`. */
export const faultsOfSql = (source: string, start: number, end: number): Fault[] => {
  const blank = (found: string) => found.replaceAll(/[^\n]/g, ' ');
  const sql = source.slice(start, end).replaceAll(/--[^\n]*|'[^'\n]*'/g, blank);
  const isBody = /\blanguage plpgsql\b/.test(sql);
  return [...rules, ...(isBody ? [[statement, 'null;'] as const] : [])].flatMap(([pattern, replacement]) =>
    [...sql.matchAll(pattern)].map(({ 0: found, index }) => ({
      start: start + index,
      end: start + index + found.length,
      text: typeof replacement === 'string' ? replacement : replacement(found),
    })),
  );
};

/** A statement of the schema that makes something of a name. */
export interface MadeObject {
  readonly name: string;
  readonly isFunction: boolean;
  readonly start: number;
  readonly end: number;
}

const statements = /(?:\$(\w*)\$[\s\S]*?\$\1\$|'(?:[^']|'')*'|--[^\n]*|[^;])+;?/g;
const makes = /^\s*create\s+(?:unique\s+)?(function|view|trigger|table|index)\s+(\w+)/;

/** What the files of the schema make, by file. */
export const madeObjects = (schema: ReadonlyMap<string, string>): ReadonlyMap<string, readonly MadeObject[]> =>
  new Map([...schema].map(([file, text]) => [file, [...text.matchAll(statements)].flatMap(readObject)]));

const readObject = ({ 0: found, index }: RegExpExecArray): readonly MadeObject[] => {
  const [, kind, name] = makes.exec(found.replaceAll(/^\s*--.*$/gm, '')) ?? [];
  if (name === undefined) return [];
  return [{ name, isFunction: kind === 'function', start: index, end: index + found.length }];
};
