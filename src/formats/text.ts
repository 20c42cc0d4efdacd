/** Common JSON readers refuse more (Elasticsearch at 1,000 levels), and `JSON.stringify` recurses. */
const MAX_DEPTH = 100;
const tooDeep = '[nested too deeply]';

/** U+FFFD for NUL and lone surrogates, which many consumers refuse. */
export const cleanText = (text: string): string =>
  text.isWellFormed() && !text.includes('\0') ? text : text.toWellFormed().replaceAll('\0', '\ufffd');

const isClean = (value: unknown, depth: number): boolean => {
  if (typeof value === 'string') return cleanText(value) === value;
  if (typeof value !== 'object' || value === null) return true;
  if (depth === MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((element) => isClean(element, depth + 1));
  return Object.entries(value).every(([key, inner]) => cleanText(key) === key && isClean(inner, depth + 1));
};

const hasNoNesting = (value: unknown, depth: number): boolean => {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((element) => hasNoNesting(element, depth + 1));
  // Walks over a parsed value's own members without making a list.
  for (const key in value)
    if (!hasNoNesting((value as Readonly<Record<string, unknown>>)[key], depth + 1)) return false;
  return true;
};

const cleanCopy = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_DEPTH) return tooDeep;
  if (Array.isArray(value)) return value.map((element) => cleanCopy(element, depth + 1));
  // Assigning to a key `__proto__` would lose it.
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [cleanText(key), cleanCopy(inner, depth + 1)]));
};

/** Clean texts and keys, at most 100 levels; copied only if needed. `hasCleanTexts`: from a clean JSON text without numeric escapes. */
export const cleanJson = (value: unknown, hasCleanTexts: boolean): unknown => {
  const isWhole = hasCleanTexts ? hasNoNesting(value, 0) : isClean(value, 0);
  return isWhole ? value : cleanCopy(value, 0);
};

/** Legal in JSON, but line ends or commands to some readers and terminals. */
const risky = /[\u007f-\u009f\u2028\u2029]/g;
const anyRisky = new RegExp(risky.source);

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Needs no escape in a line. */
export const isPlain = (text: string): boolean => !anyRisky.test(text);

/** One line even for readers that end lines at U+2028 or U+0085. `isPlainValue`: its texts are plain, so the longer line is not searched. */
export const toJsonLine = (value: object, isPlainValue = false, large?: LargeTexts): string => {
  const line = JSON.stringify(value, large?.leaveOut);
  return isPlainValue ? line : line.replace(risky, escaped);
};

const LARGE_CHARACTERS = 65_536;

/** Large texts of one line: as parts of it each would be in memory three times more. */
export class LargeTexts {
  readonly #mark: string;
  readonly #texts: string[] = [];

  /** The mark stands for each: plain text that no entry can have. */
  constructor(mark: string) {
    this.#mark = mark;
  }

  readonly leaveOut = (_key: string, value: unknown): unknown => {
    if (typeof value !== 'string' || value.length <= LARGE_CHARACTERS) return value;
    this.#texts.push(value);
    return this.#mark;
  };

  *partsOf(line: string): Generator<string, void, void> {
    for (const [n, between] of line.split(this.#mark).entries()) {
      if (n > 0) yield* insideOf(this.#texts[n - 1] ?? '');
      yield between;
    }
  }
}

/** As between quotation marks in a line. */
function* insideOf(text: string): Generator<string, void, void> {
  for (let from = 0, to = 0; from < text.length; from = to) {
    to = from + LARGE_CHARACTERS;
    // Keeps surrogate pairs together.
    if (/[\ud800-\udbff]/.test(text.charAt(to - 1))) to += 1;
    yield JSON.stringify(text.slice(from, to)).slice(1, -1).replace(risky, escaped);
  }
}

/** Undefined if no member has a value: JSON then omits it. */
export const unlessEmpty = <T extends object>(object: T): T | undefined => {
  for (const key in object) if (object[key] !== undefined) return object;
  return undefined;
};

/** Ends of lines or fields to some reader. */
const breaks = '\t\n\v\f\r\u0085\u2028\u2029';

const visible = (character: string): string => (breaks.includes(character) ? ' ' : '\ufffd');

/** Breaks and tabs become spaces, other control characters U+FFFD. */
export const oneLine = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, visible);

/** At most `limit` UTF-16 units; a cut text ends in `…`, no character is split. */
export const cut = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;

/** Scheme and host: of absolute URLs only, the host without user and port. `isWhole`: path and query have the whole text, or it is a whole URL. */
type RequestUri = Readonly<Record<'query' | 'scheme' | 'host', string | undefined>> &
  Readonly<{ path: string; isWhole: boolean }>;

const form = /^(?:([a-z][a-z0-9+.-]*):\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/i;

/** Decodes nothing: the API logs a path mostly, sometimes a URL. */
export const readUri = (uri: string): RequestUri => {
  const [, scheme, authority, path = '', query] = form.exec(uri) ?? [];
  const host = authority?.replace(/^.*@/, '').replace(/:\d*$/, '');
  const written = path + (query === undefined ? '' : `?${query}`);
  return { path, query, scheme, host: host || undefined, isWhole: scheme !== undefined || written === uri };
};
