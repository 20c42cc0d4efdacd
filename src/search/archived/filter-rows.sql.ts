import type { Pool } from '../../postgres/pool.ts';
import { readOnly } from '../../postgres/queries.ts';
import { explained } from '../search-events.sql.ts';
import {
  type ArchivedColumn,
  type ArchivedColumns,
  type ArchivedCondition,
  type ArchivedGroup,
  type ArchivedMonths,
  archivedColumns,
  jsonOf,
} from './archived-columns.ts';

/** In order of position. All conditions of a search are met but those of time. */
export interface MatchedRows {
  readonly rows: readonly number[];
  /** In microseconds since 1970. */
  readonly times: readonly bigint[];
  readonly positions: readonly number[];
}

/** So that the next page of a search, and a search that goes on after a time-out, need not look again. */
export interface MatchMemory {
  get(key: string, make: () => Promise<MatchedRows>): Promise<MatchedRows>;
}

const nothing: MatchedRows = { rows: [], times: [], positions: [] };

export type Matcher = ReturnType<typeof createMatcher>;

/** Looks for the rows of one search, group by group. What it began for one reader others may wait for, so no signal ends it. */
export const createMatcher = (
  { pool, months, memory }: { readonly pool: Pool; readonly months: ArchivedMonths; readonly memory: MatchMemory },
  { conditions, isChanged }: { readonly conditions: readonly ArchivedCondition[]; readonly isChanged: boolean },
) => {
  const decisions = conditions.map((condition) => ({ condition, decide: createDecide(pool, condition) }));
  const question = JSON.stringify([conditions.map(({ sql, values }) => [sql, values]), isChanged]);
  const changed = new Map<string, ReadonlySet<number>>();
  const changedIn = async (month: string) => {
    const known = changed.get(month) ?? (await months.changed(month));
    changed.set(month, known);
    return known;
  };
  const look = async (group: ArchivedGroup): Promise<MatchedRows> => {
    if (conditions.some(({ exactly }) => exactly !== undefined && !group.mayHave(exactly.column, exactly.value)))
      return nothing;
    let rows: readonly number[] = [...Array(group.rows).keys()];
    if (isChanged) {
      const [known, { position }] = [await changedIn(group.month), await group.columns(['position'])];
      rows = rows.filter((row) => known.has(Number(position[row])));
    }
    for (const { condition, decide } of decisions) {
      if (rows.length === 0) return nothing;
      rows = await decide(await group.columns<ArchivedColumn>(condition.columns), rows);
    }
    if (rows.length === 0) return nothing;
    const { position, action_time: time } = await group.columns(['position', 'action_time']);
    return {
      rows,
      times: rows.map((row) => time[row] as bigint),
      positions: rows.map((row) => Number(position[row])),
    };
  };
  return {
    /** Another text for each other set of conditions. */
    question,
    match: (group: ArchivedGroup) => memory.get(`${group.name} ${question}`, () => look(group)),
  };
};

const MAX_STATEMENT_BYTES = 4 * 1_048_576;
const TIMEOUT_MS = 30_000;
/** Of answers: what is in one row group is often in the next. */
const MAX_KNOWN = 50_000;
/** A row group has fewer values. */
const ID_SPAN = 2 ** 20;

type Decide = (columns: ArchivedColumns<ArchivedColumn>, rows: readonly number[]) => Promise<readonly number[]>;

/** PostgreSQL is asked once for each combination of values: it alone decides. */
const createDecide = (pool: Pool, condition: ArchivedCondition): Decide => {
  if (condition.texts !== undefined) return decideByText(pool, condition, condition.texts);
  const decide = decideByValues(pool, condition);
  if (condition.exactly === undefined) return decide;
  const { column, value } = condition.exactly;
  const bytes = Buffer.from(value);
  // Texts with other bytes are never equal: the collation of a database is deterministic.
  const maybe = (found: unknown) => found instanceof Uint8Array && found.length === bytes.length && bytes.equals(found);
  return (columns, rows) =>
    decide(
      columns,
      rows.filter((row) => maybe(columns[column][row])),
    );
};

const decideByValues = (pool: Pool, condition: ArchivedCondition): Decide => {
  const known = new Map<string, boolean>();
  const mayMeet = screenOf(condition);
  return async (columns, rows) => {
    const { ids, firstRows } = combinationsOf(columns, condition.columns, rows);
    const meets = new Array<boolean>(firstRows.length).fill(false);
    const doubtful = firstRows.flatMap((row, id) => {
      if (!mayMeet(columns, row)) return [];
      const values = condition.columns.map((name) => jsonOf(name, columns[name][row]));
      return [{ id, values, key: JSON.stringify(values) }];
    });
    const unknown = doubtful.filter(({ key }) => !known.has(key));
    for (const { id, key } of doubtful) meets[id] = known.get(key) ?? false;
    const met = await ask(
      pool,
      condition,
      unknown.map(({ values }) => values),
    );
    unknown.forEach(({ id, key }, asked) => {
      meets[id] = met.has(asked);
      if (known.size < MAX_KNOWN) known.set(key, met.has(asked));
    });
    return rows.filter((_, n) => meets[ids[n] ?? 0]);
  };
};

/** False if no column contains what one of them must contain: PostgreSQL need not be asked. */
const screenOf = ({ contains, columns: names }: ArchivedCondition) => {
  const screens = contains?.map(mayContain);
  return (columns: ArchivedColumns<ArchivedColumn>, row: number): boolean =>
    screens === undefined ||
    names.some((name) => {
      const value = columns[name][row];
      return value instanceof Uint8Array && screens.some((may) => may(value));
    });
};

const decideByText = (
  pool: Pool,
  condition: ArchivedCondition,
  { values, isNegated }: NonNullable<ArchivedCondition['texts']>,
): Decide => {
  const screens = values.map(mayContain);
  return async (columns, rows) => {
    const doubtful = rows.filter((row) => screens.some((may) => may(columns.raw[row] as Uint8Array)));
    const met = await ask(
      pool,
      condition,
      doubtful.map((row) => [jsonOf('raw', columns.raw[row])]),
    );
    const answers = new Map(doubtful.map((row, n) => [row, met.has(n)]));
    return rows.filter((row) => answers.get(row) ?? isNegated);
  };
};

/** Which combination of values each row has, and one row for each combination. */
const combinationsOf = (
  columns: ArchivedColumns<ArchivedColumn>,
  names: readonly ArchivedColumn[],
  rows: readonly number[],
) => {
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return valuesOf(columns[only], rows);
  let ids: number[] = rows.map(() => 0);
  let firstRows: readonly number[] = rows.slice(0, 1);
  for (const name of names) {
    const column = columns[name];
    const known = new Map<unknown, number>();
    const combined = new Map<number, number>();
    const firsts: number[] = [];
    ids = rows.map((row, n) => {
      const value = valueIdOf(known, column[row]);
      const pair = (ids[n] ?? 0) * ID_SPAN + value;
      const id = combined.get(pair) ?? combined.size;
      if (id === combined.size) {
        combined.set(pair, id);
        firsts.push(row);
      }
      return id;
    });
    firstRows = firsts;
  }
  return { ids, firstRows };
};

const valuesOf = (column: ArrayLike<unknown>, rows: readonly number[]) => {
  const known = new Map<unknown, number>();
  const byText = new Map<unknown, number>();
  const ids: number[] = new Array(rows.length);
  const firstRows: number[] = [];
  for (let n = 0; n < rows.length; n += 1) {
    const row = rows[n] ?? 0;
    const value = column[row];
    let id = known.get(value);
    if (id === undefined) {
      const text = keyOf(value);
      id = byText.get(text) ?? firstRows.length;
      if (id === firstRows.length) firstRows.push(row);
      byText.set(text, id);
      known.set(value, id);
    }
    ids[n] = id;
  }
  return { ids, firstRows };
};

const keyOf = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value;

/** Values of a dictionary are one object each, by which most are found. */
const valueIdOf = (known: Map<unknown, number>, value: unknown): number => {
  const found = known.get(value);
  if (found !== undefined) return found;
  const text = keyOf(value);
  const id = known.get(text) ?? known.size;
  known.set(text, id);
  if (text !== value) known.set(value, id);
  return id;
};

const ask = async (
  pool: Pool,
  { sql, values, columns }: ArchivedCondition,
  all: readonly (readonly unknown[])[],
): Promise<ReadonlySet<number>> => {
  const met = new Set<number>();
  // It has the name of the table that the conditions of a search are about.
  const statement = `with audit_events as (select ${columns.map((name, n) => `${columnOf(name, n + 1)} as ${name}, `).join('')}(r.value ->> 0)::integer as place from json_array_elements($1::json) as r (value))
    select place from audit_events where ${sql}`;
  for (const lines of batchesOf(all)) {
    const { rows } = await readOnly(pool, TIMEOUT_MS, (client) =>
      client.query<{ place: number }>(statement, [`[${lines.join(',')}]`, ...values]),
    ).catch(explained);
    for (const { place } of rows) met.add(place);
  }
  return met;
};

/** No condition asks more of defects than whether there are any. */
const columnOf = (name: ArchivedColumn, place: number): string =>
  name === 'defects'
    ? `case when r.value ->> ${place} is not null then '{}'::text[] end`
    : `(r.value ->> ${place})::${archivedColumns[name]}`;

function* batchesOf(all: readonly (readonly unknown[])[]): Generator<readonly string[], void, void> {
  let lines: string[] = [];
  let bytes = 0;
  for (const [place, values] of all.entries()) {
    const line = JSON.stringify([place, ...values]);
    if (bytes + line.length > MAX_STATEMENT_BYTES && lines.length > 0) {
      yield lines;
      lines = [];
      bytes = 0;
    }
    lines.push(line);
    bytes += line.length;
  }
  if (lines.length > 0) yield lines;
}

/** Not ASCII, but in some language compared as if they were, whatever the case of letters: İ, ı and the Kelvin sign, as bytes of UTF-8. */
const folding = ['\u00c4\u00b0', '\u00c4\u00b1', '\u00e2\u0084\u00aa'];

/** Whatever the case of letters. False only if PostgreSQL's `ilike` would be false as well in any locale: what may contain the text is up to it. */
const mayContain = (text: string): ((bytes: Uint8Array) => boolean) => {
  const runs = text.match(/[\0-\u007f]+/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  const wanted = longest.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (wanted === '') return () => true;
  return (bytes) => {
    // One character a byte: small letters make no byte that is not ASCII into a letter of ASCII.
    const plain = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    return plain.toLowerCase().includes(wanted) || folding.some((letter) => plain.includes(letter));
  };
};
