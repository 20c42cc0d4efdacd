import { parseInstantMs } from '../../base/time.ts';
import { partNames } from './columns.ts';
import { type ElementSpan, endOfNumber, endOfString, isNumberStart, isOddNumber } from './json-elements.ts';

/** Why an entry could not be read in full. Stored beside it (`audit_events.defects`); a contract of names. */
export type Defect =
  | 'not_an_object'
  | 'id_missing'
  | 'id_unusable' // not a string, empty, with characters that PostgreSQL's text cannot hold, or of the form of a content hash
  | 'id_too_long' // for an index: the hash of the id stands for it
  | 'column_too_long' // for an index: the typed column has its beginning, `raw` has all of it
  | 'time_missing'
  | 'time_unreadable'
  | 'nul_character'
  | 'lone_surrogate'
  | 'number_out_of_range'
  | 'nested_too_deeply'
  | 'invalid_utf8'
  // PostgreSQL does not take it as json, for a reason of its own.
  | 'refused_by_database';

/** With these, `raw` is a JSON string that holds the exact text, since PostgreSQL cannot hold it as JSON. */
export const textDefects: readonly Defect[] = ['nested_too_deeply', 'refused_by_database'];
/** With these, `raw` is the exact JSON, which `jsonb` refuses. The view audit_history names the same. */
export const jsonbDefects: readonly Defect[] = ['nul_character', 'lone_surrogate', 'number_out_of_range'];

export interface EntryReading {
  /** Undefined if the entry has no usable one: the store then names it by its content. */
  readonly id: string | undefined;
  /** RFC 3339 as sent, undefined if there is none: the store then sorts it first of all. */
  readonly actionTime: string | undefined;
  readonly timeMs: number | undefined;
  readonly defects: readonly Defect[];
}

/** PostgreSQL refuses index entries over a third of an 8 kB page (of 4-byte characters, 512 fit safely); the API's own
 * ids have 32 or 36 characters. */
export const MAX_ID_LENGTH = 512;
/** PostgreSQL parses JSON by recursion: at the default stack depth (2 MB), 10,000 levels pass and 20,000 fail. */
const MAX_DEPTH = 5_000;
const MAX_METADATA_DEPTH = 500;

/** NUL and halves of surrogate pairs: a quick test of a whole page, that may be true for a text with whole pairs. */
const suspiciousEscape = /\\u(?:0000|[dD][89a-fA-F])/;

export const hasSuspiciousEscape = (text: string): boolean => text.includes('\\u') && suspiciousEscape.test(text);

export const readEntry = (entry: unknown, text: string, span: ElementSpan, suspicious: boolean): EntryReading => {
  const defects: Defect[] = [];
  if (suspicious) defects.push(...withPlainEscapes(text).defects);
  if (span.oddNumber) defects.push('number_out_of_range');
  if (span.depth > MAX_DEPTH) defects.push('nested_too_deeply');
  if (!isObject(entry))
    return { id: undefined, actionTime: undefined, timeMs: undefined, defects: ['not_an_object', ...defects] };
  const id = readId(entry['id'], defects);
  const time = readTime(isObject(entry['action']) ? entry['action']['time'] : undefined, defects);
  return { id, ...time, defects };
};

/** What `jsonb` takes and gives the same columns. Only these are computed from it, so NUL, lone surrogates, odd numbers
 * and what is nested too deeply are replaced. */
export const columnSource = (entry: unknown, text: string, defects: readonly Defect[]): string => {
  if (!isObject(entry)) return '{}';
  if (defects.some((defect) => textDefects.includes(defect))) return shallow(entry);
  return defects.some((defect) => jsonbDefects.includes(defect)) ? cleaned(text) : text;
};

/** PostgreSQL refuses index entries over a third of an 8 kB page; two such columns fit into one. */
const MAX_COLUMN_BYTES = 600;

/** As `columnSource`, with what is too long for an index cut. Undefined if nothing is. */
export const shortColumnSource = (entry: unknown): string | undefined => {
  if (!isObject(entry)) return undefined;
  let isCut = false;
  const parts = partNames.map((part) => {
    const fields = entry[part];
    if (!isObject(fields)) return [part, fields];
    const short = Object.entries(fields).map(([name, value]) => {
      if (typeof value !== 'string' || Buffer.byteLength(value) <= MAX_COLUMN_BYTES) return [name, value];
      isCut = true;
      return [
        name,
        Buffer.from(value)
          .subarray(0, MAX_COLUMN_BYTES)
          .toString()
          .replace(/\ufffd+$/, ''),
      ];
    });
    return [part, Object.fromEntries(short)];
  });
  return isCut ? shallow(Object.fromEntries(parts)) : undefined;
};

/** For metadata, whose exact text does not matter: what JSON.stringify or PostgreSQL do not take is left out. */
export const toJsonbText = (value: unknown): string =>
  cleaned(JSON.stringify(isDeeper(value, MAX_METADATA_DEPTH) ? pruned(value, MAX_METADATA_DEPTH) : (value ?? null)));

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1)));

const pruned = (value: unknown, levels: number): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (levels === 0) return null;
  if (Array.isArray(value)) return value.map((inner) => pruned(inner, levels - 1));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pruned(inner, levels - 1)]));
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** As the store names what has no id of its own: no entry from the API may have such a name. */
const ownId = /^sha256:[0-9a-f]{64}$/;

const readId = (id: unknown, defects: Defect[]): string | undefined => {
  if (id === undefined || id === null) {
    defects.push('id_missing');
    return undefined;
  }
  if (typeof id === 'string' && id !== '' && !id.includes('\0') && id.isWellFormed() && !ownId.test(id)) {
    if (id.length > MAX_ID_LENGTH) defects.push('id_too_long');
    return id;
  }
  defects.push('id_unusable');
  return undefined;
};

const readTime = (time: unknown, defects: Defect[]): Pick<EntryReading, 'actionTime' | 'timeMs'> => {
  if (time === undefined || time === null) {
    defects.push('time_missing');
    return { actionTime: undefined, timeMs: undefined };
  }
  const timeMs = typeof time === 'string' ? parseInstantMs(time) : undefined;
  if (timeMs !== undefined) return { actionTime: time as string, timeMs };
  defects.push('time_unreadable');
  return { actionTime: undefined, timeMs: undefined };
};

const escapes = /\\(?:u([0-9a-fA-F]{4})|[^u])/g;

const isHigh = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;
const isLow = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff;

/** Replaces the escapes of NUL and of lone surrogates by that of U+FFFD, and says which there were. */
const withPlainEscapes = (text: string): { text: string; defects: Defect[] } => {
  const defects = new Set<Defect>();
  const pieces: string[] = [];
  let from = 0;
  let high: number | undefined;
  const replace = (at: number, defect: Defect) => {
    defects.add(defect);
    pieces.push(text.slice(from, at), '\\ufffd');
    from = at + 6;
  };
  for (const match of text.matchAll(escapes)) {
    const code = match[1] === undefined ? -1 : Number.parseInt(match[1], 16);
    const pairs = high !== undefined && isLow(code) && match.index === high + 6;
    if (high !== undefined && !pairs) replace(high, 'lone_surrogate');
    high = isHigh(code) ? match.index : undefined;
    if (isLow(code) && !pairs) replace(match.index, 'lone_surrogate');
    if (code === 0) replace(match.index, 'nul_character');
  }
  if (high !== undefined) replace(high, 'lone_surrogate');
  pieces.push(text.slice(from));
  return { text: pieces.join(''), defects: [...defects] };
};

const cleaned = (text: string): string => {
  const pieces: string[] = [];
  let index = 0;
  let from = 0;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === 0x22) index = endOfString(text, index);
    else if (isNumberStart(code)) {
      const end = endOfNumber(text, index);
      const number = text.slice(index, end);
      if (isOddNumber(number)) {
        pieces.push(text.slice(from, index), JSON.stringify(number));
        from = end;
      }
      index = end;
    } else index += 1;
  }
  pieces.push(text.slice(from));
  return withPlainEscapes(pieces.join('')).text;
};

const shallow = (entry: Record<string, unknown>): string => {
  const scalars = (value: unknown, levels: number): unknown => {
    if (!isObject(value)) return typeof value === 'object' ? null : value;
    if (levels === 0) return null;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, scalars(inner, levels - 1)]));
  };
  return cleaned(JSON.stringify(scalars(entry, 2)));
};

export const exactText = (rawText: string, defects: readonly string[] | null): string =>
  defects?.some((defect) => textDefects.some((name) => name === defect)) === true
    ? (JSON.parse(rawText) as string)
    : rawText;
