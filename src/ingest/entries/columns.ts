import type { JsonBytes } from './json-bytes.ts';

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
