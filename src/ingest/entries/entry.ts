import { parseInstantMs } from '../../base/time.ts';
import type { JsonBytes } from './json-bytes.ts';
import { type ElementSpan, endOfNumber, endOfString, isNumberStart, isOddNumber } from './json-bytes.ts';

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

export const textColumns = {
  action_type: ['action', 'type'],
  action_result: ['action', 'result'],
  action_description: ['action', 'description'],
  actor_id: ['actor', 'id'],
  actor_type: ['actor', 'type'],
  actor_context: ['actor', 'context'],
  actor_email: ['actor', 'email'],
  actor_ip_address: ['actor', 'ip_address'],
  actor_token_id: ['actor', 'token_id'],
  actor_token_name: ['actor', 'token_name'],
  raw_method: ['raw', 'method'],
  raw_uri: ['raw', 'uri'],
  raw_user_agent: ['raw', 'user_agent'],
  resource_id: ['resource', 'id'],
  resource_product: ['resource', 'product'],
  resource_type: ['resource', 'type'],
  resource_scope: ['resource', 'scope'],
  account_id: ['account', 'id'],
  account_name: ['account', 'name'],
  zone_id: ['zone', 'id'],
  zone_name: ['zone', 'name'],
} as const satisfies Readonly<Record<string, readonly [part: string, name: string]>>;

const textPaths = Object.values(textColumns);

export const partNames = ['action', 'actor', 'raw', 'resource', 'account', 'zone'] as const;

/** The values of a row, by their number: the text columns come from `firstColumn` on, in the order of `textColumns`. */
export const place = {
  text: 0,
  id: 1,
  time: 2,
  rayId: 3,
  otherRayId: 4,
  firstColumn: 5,
  statusCode: 5 + textPaths.length,
} as const;

export const PLACES = place.statusCode;

export const NULL = -1;
/** In place of a start: the value is in `replaced`, since the bytes have it in another form (escapes, objects). */
export const REPLACED = -2;

/** The value at place p of row r starts in the body at `spans[(r * PLACES + p) * 2]`; its end follows. */
export interface PageRows {
  readonly bytes: Buffer;
  readonly spans: Int32Array;
  readonly replaced: ReadonlyMap<number, string>;
  /** For each entry the number, from 1, of the first one on the page with its id. */
  readonly firsts: readonly number[];
  readonly statusCodes: readonly (number | null)[];
}

const hashOf = (part: number, key: Uint8Array, start: number, end: number): number =>
  (part << 24) | ((end - start) << 16) | ((key[(start + end) >> 1] ?? 0) << 8) | (key[end - 1] ?? 0);

const paths: readonly (readonly [part: (typeof partNames)[number], name: string, place: number])[] = [
  ...textPaths.map(([part, name], index) => [part, name, place.firstColumn + index] as const),
  ['action', 'time', place.time],
  ['raw', 'cf_ray_id', place.rayId],
  ['raw', 'cf_rayid', place.otherRayId],
  ['raw', 'status_code', place.statusCode],
];

const known = new Map(
  paths.map(([part, name, at]) => {
    const key = Buffer.from(name);
    const number = partNames.indexOf(part);
    return [hashOf(number, key, 0, key.length), { key, at }];
  }),
);
if (known.size !== paths.length) throw new Error('two keys of one hash');

/** The place of what the last key of a part names; undefined for what has no column. */
export const placeOf = (part: number, json: JsonBytes): number | undefined => {
  const { bytes, start, end } = json;
  const found = known.get(hashOf(part, bytes, start, end));
  return found !== undefined && json.is(found.key) ? found.at : undefined;
};

/** As PostgreSQL's `jsonb` prints it; undefined for what holds a number, which it prints otherwise than JavaScript. */
export const jsonbText = (value: unknown): string | undefined => {
  if (typeof value === 'number') return undefined;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const parts: string[] = [];
  for (const key of isList ? value.keys() : Object.keys(value).sort(asJsonb)) {
    const text = jsonbText((value as Readonly<Record<string | number, unknown>>)[key]);
    if (text === undefined) return undefined;
    parts.push(isList ? text : `${JSON.stringify(key)}: ${text}`);
  }
  return isList ? `[${parts.join(', ')}]` : `{${parts.join(', ')}}`;
};

const utf8 = new TextEncoder();

/** Shorter keys first, then by their bytes. */
const asJsonb = (a: string, b: string): number => {
  const [left, right] = [utf8.encode(a), utf8.encode(b)];
  if (left.length !== right.length) return left.length - right.length;
  for (const [index, byte] of left.entries()) {
    const difference = byte - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

/** The columns that follow from an entry alone, and the SQL that reads each from `j`, the entry as jsonb. */
export const columnExpressions: readonly (readonly [column: string, expression: string])[] = [
  ...Object.entries(textColumns).map(([name, path]) => [name, `j #>> '{${path.join(',')}}'`] as const),
  ['raw_cf_ray_id', `coalesce(j #>> '{raw,cf_ray_id}', j #>> '{raw,cf_rayid}')`],
  [
    'raw_status_code',
    `case when j #>> '{raw,status_code}' ~ '^-?[0-9]{1,9}$' then (j #>> '{raw,status_code}')::integer end`,
  ],
];
