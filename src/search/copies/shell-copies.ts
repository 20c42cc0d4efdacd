import { printLine, printSearch, readSearch, type Search, type SearchField } from '../search.ts';

/** Text that a terminal or a page would show as another one than it is, control characters among it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
export const misleading = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200d\u2060\ufeff\p{Bidi_Control}]/u;

/** One word for a shell, quoted whatever it holds. Misleading characters are written as their bytes, which bash, zsh and ksh read. */
const shellWord = (text: string): string => {
  if (!misleading.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const escaped = [...text].map((character) => {
    if (misleading.test(character)) return [...Buffer.from(character)].map(octal).join('');
    return character === '\\' || character === "'" ? `\\${character}` : character;
  });
  return `$'${escaped.join('')}'`;
};

const octal = (byte: number): string => `\\${byte.toString(8).padStart(3, '0')}`;

/** The call of the API that runs the search. `origin`: of the server. The token is named by a variable of the shell, never given. */
export const curlOf = (search: Search, origin: string, limit: number | undefined): string => {
  const parameters = printSearch(search);
  if (limit !== undefined) parameters.set('limit', String(limit));
  const query = parameters.toString();
  const address = `${origin}/v1/search${query === '' ? '' : `?${query}`}`;
  return `curl -sf -H "Authorization: Bearer $TOKEN" ${shellWord(address)}`;
};

/** The command that runs the search: with a query line, or with options if no line says the same. */
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

/** In a line, a star at the end of a value means a beginning: in a field of its own it is meant as it is. */
const saysTheSame = (line: string, search: Search): boolean => {
  const { search: read, faults } = readSearch({ q: line }, Date.now());
  return faults.length === 0 && printSearch(read).toString() === printSearch(search).toString();
};
