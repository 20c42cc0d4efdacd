import { type AddParameter, plainConditions } from './conditions/filter-conditions.sql.ts';
import { isFirstMatch } from './conditions/search-conditions.sql.ts';
import { printLine, printSearch, readSearch, type Search, type SearchField, type TimeBound } from './query/search.ts';

const columns =
  'position, action_time, organization_id, account_id, actor_email, actor_ip_address, action_type, action_result, resource_type, resource_id, id';

/** A statement for an account with the role orgtrail_reader: it needs no lookup of spellings, and relative times stay relative. */
export const sqlOf = ({ since, before, ...query }: Search, limit: number): string => {
  const values: unknown[] = [];
  const parameter: AddParameter = (value) => `$${values.push(value)}`;
  const wanted = plainConditions(query, { parameter }).map(({ sql }) => sql);
  const parts = [
    ...(since === undefined ? [] : [`action_time >= ${instantOf(since)}`]),
    ...(before === undefined ? [] : [`action_time < ${instantOf(before)}`]),
    ...wanted,
    ...(query.copies === 'first' ? [isFirstMatch(wanted)] : []),
  ].map((part) => part.replace(/\$(\d+)/g, (_, n: string) => literal(values[Number(n) - 1])));
  const where = parts.length === 0 ? '' : `\nwhere ${parts.join('\n  and ')}`;
  return `select ${columns}\nfrom audit_events${where}\norder by action_time desc, position desc\nlimit ${limit};`;
};

/** No days: in the time zone of a session one may have 23 hours. */
const units = [
  ['hours', 3_600_000],
  ['minutes', 60_000],
] as const;

const instantOf = (bound: TimeBound): string => {
  if (bound.kind === 'at') return `timestamptz ${quoted(bound.text)}`;
  if (bound.ms === 0) return 'now()';
  const [unit, ms] = units.find(([, one]) => bound.ms % one === 0) ?? ['seconds', 1_000];
  return `now() - interval '${bound.ms / ms} ${unit}'`;
};

const literal = (value: unknown): string => {
  if (typeof value === 'number') return String(value);
  return Array.isArray(value) ? `array[${value.map(literal).join(', ')}]` : quoted(String(value));
};

const quoted = (text: string): string => {
  if (!misleading.test(text)) return `'${text.replaceAll("'", "''")}'`;
  const escaped = [...text].map((character) => {
    if (misleading.test(character)) return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    if (character === '\\') return '\\\\';
    return character === "'" ? "''" : character;
  });
  return `E'${escaped.join('')}'`;
};

/** Text that a terminal or a page would show as other text, control characters included. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
export const misleading = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200d\u2060\ufeff\p{Bidi_Control}]/u;

/** Quoted. Misleading characters are written as their bytes, which bash, zsh and ksh read. */
const shellWord = (text: string): string => {
  if (!misleading.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const escaped = [...text].map((character) => {
    if (misleading.test(character)) return [...Buffer.from(character)].map(octal).join('');
    return character === '\\' || character === "'" ? `\\${character}` : character;
  });
  return `$'${escaped.join('')}'`;
};

const octal = (byte: number): string => `\\${byte.toString(8).padStart(3, '0')}`;

/** `origin`: of the server. The token is named by a variable of the shell, never given. */
export const curlOf = (search: Search, origin: string, limit: number | undefined): string => {
  const parameters = printSearch(search);
  if (limit !== undefined) parameters.set('limit', String(limit));
  const query = parameters.toString();
  const address = `${origin}/v1/search${query === '' ? '' : `?${query}`}`;
  return `curl -sf -H "Authorization: Bearer $TOKEN" ${shellWord(address)}`;
};

/** With a query line, or with options if no line says the same. */
export const commandOf = (search: Search, limit: number | undefined): string => {
  const words = ['orgtrail search', ...(limit === undefined ? [] : [`--limit ${limit}`])];
  const line = printLine(search);
  if (line === '') return words.join(' ');
  if (saysTheSame(line, search)) return [...words, ...(line.startsWith('-') ? ['--'] : []), shellWord(line)].join(' ');
  const options = [...printSearch(search)].map(([field, value]) => {
    const name = `--${field.replaceAll('_', '-')}`;
    return flags.some((flag) => flag === field) ? name : `${name}=${shellWord(value)}`;
  });
  return [...words, ...options].join(' ');
};

const flags: readonly SearchField[] = ['defects', 'changed', 'archive'];

/** In a line a star at the end of a value means a beginning; in a field of its own it is meant as it is. */
const saysTheSame = (line: string, search: Search): boolean => {
  const { search: read, faults } = readSearch({ q: line }, Date.now());
  return faults.length === 0 && printSearch(read).toString() === printSearch(search).toString();
};
