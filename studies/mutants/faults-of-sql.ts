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

/** A statement of a migration that makes something of a name. */
export interface MadeObject {
  readonly name: string;
  readonly isFunction: boolean;
  readonly start: number;
  readonly end: number;
}

const statements = /(?:\$(\w*)\$[\s\S]*?\$\1\$|'(?:[^']|'')*'|--[^\n]*|[^;])+;?/g;
const makes =
  /^\s*(create|drop)\s+(?:or replace\s+)?(?:unique\s+)?(function|view|trigger|table|index)\s+(?:if (?:not )?exists\s+)?(?:public\.)?"?(\w+)/i;

/** What the migrations, in their order, leave behind, by file: a function that a later one makes again or drops is not among it. */
export const liveObjects = (migrations: ReadonlyMap<string, string>): ReadonlyMap<string, readonly MadeObject[]> => {
  const last = new Map<string, { file: string; verb: string; object: MadeObject }>();
  for (const [file, text] of migrations) {
    for (const { 0: found, index } of text.matchAll(statements)) {
      const code = found.replaceAll(/^\s*--.*$/gm, '');
      const [, verb, kind, name] = makes.exec(code)?.map((word) => word.toLowerCase()) ?? [];
      if (verb === undefined || name === undefined) continue;
      last.set(`${kind} ${name}`, {
        file,
        verb,
        object: { name, isFunction: kind === 'function', start: index, end: index + found.length },
      });
    }
  }
  const live = Map.groupBy(
    [...last.values()].filter(({ verb }) => verb === 'create'),
    ({ file }) => file,
  );
  return new Map([...live].map(([file, made]) => [file, made.map(({ object }) => object)]));
};
