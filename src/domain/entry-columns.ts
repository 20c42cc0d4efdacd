import type { ElementSpan } from './json-elements.ts';

/** The typed columns that are text, and the path of each in an entry. */
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
} as const satisfies Readonly<Record<string, readonly [part: string, name: string]>>;

const textPaths = Object.values(textColumns);

/** The entries of a plain page as rows, column by column: all have as many values as there are entries. */
export interface PageRows {
  /** The exact texts. */
  readonly texts: readonly string[];
  readonly ids: readonly string[];
  /** RFC 3339, as sent. */
  readonly times: readonly string[];
  /** For each entry the number, from 1, of the first one on the page with its id. */
  readonly firsts: readonly number[];
  /** In the order of `textColumns`. */
  readonly columns: readonly (readonly (string | null)[])[];
  readonly rayIds: readonly (string | null)[];
  readonly statusCodes: readonly (number | null)[];
}

/** What `RowsReader.add` wants of an entry without defects. */
export interface PlainEntry {
  readonly value: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly span: ElementSpan;
  readonly id: string;
  readonly actionTime: string;
}

/** `jsonb` has no room for objects with millions of members: whether it takes an entry of this size, only PostgreSQL can say. */
const LARGE_ENTRY_CHARACTERS = 1_000_000;

/**
 * Collects the rows of a page. What comes out is what PostgreSQL itself would read of the same texts, by `jsonb` (a test compares
 * them); where that is not sure, since a number stands where text is expected or an entry is very large, `rows` is undefined: PostgreSQL is
 * to read the page.
 */
export class RowsReader {
  readonly #texts: string[] = [];
  readonly #ids: string[] = [];
  readonly #times: string[] = [];
  readonly #firsts: number[] = [];
  readonly #columns: (string | null)[][] = textPaths.map(() => []);
  readonly #rayIds: (string | null)[] = [];
  readonly #statusCodes: (number | null)[] = [];
  readonly #seen = new Map<string, number>();
  #sure = true;

  add({ value, text, span, id, actionTime }: PlainEntry): void {
    if (text.length > LARGE_ENTRY_CHARACTERS) this.#sure = false;
    if (!this.#sure) return;
    this.#texts.push(text);
    this.#ids.push(id);
    this.#times.push(actionTime);
    const number = this.#ids.length;
    const first = this.#seen.get(id);
    if (first === undefined) this.#seen.set(id, number);
    this.#firsts.push(first ?? number);
    for (const [column, [part, name]] of textPaths.entries()) {
      this.#columns[column]?.push(this.#text(fieldOf(value, part, name)));
    }
    const rayId = this.#text(fieldOf(value, 'raw', 'cf_ray_id'));
    this.#rayIds.push(rayId ?? this.#text(fieldOf(value, 'raw', 'cf_rayid')));
    this.#statusCodes.push(this.#statusCode(fieldOf(value, 'raw', 'status_code'), span));
  }

  rows(): PageRows | undefined {
    if (!this.#sure) return undefined;
    return {
      ...{ texts: this.#texts, ids: this.#ids, times: this.#times, firsts: this.#firsts },
      ...{ columns: this.#columns, rayIds: this.#rayIds, statusCodes: this.#statusCodes },
    };
  }

  #text(value: unknown): string | null {
    if (typeof value === 'string') return value;
    if (value === undefined || value === null) return null;
    const text = jsonbText(value);
    if (text !== undefined) return text;
    this.#sure = false;
    return null;
  }

  #statusCode(value: unknown, span: ElementSpan): number | null {
    if (typeof value === 'number') {
      // `200.0` and `200` are one number here, and two texts there.
      if (span.fraction) this.#sure = false;
      return Number.isInteger(value) && Math.abs(value) < 1e9 ? value : null;
    }
    return typeof value === 'string' && /^-?[0-9]{1,9}$/.test(value) ? Number(value) : null;
  }
}

const fieldOf = (entry: Readonly<Record<string, unknown>>, part: string, name: string): unknown => {
  const parent = entry[part];
  return typeof parent === 'object' && parent !== null && !Array.isArray(parent)
    ? (parent as Readonly<Record<string, unknown>>)[name]
    : undefined;
};

/** As PostgreSQL's `jsonb` prints it; undefined for what holds a number, which it prints otherwise than JavaScript. */
const jsonbText = (value: unknown): string | undefined => {
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
