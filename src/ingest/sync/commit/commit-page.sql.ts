import type { Pool } from 'pg';
import { ApiError } from '../../../base/errors.ts';
import { BufferPool } from '../../../base/memory.ts';
import { type PageParameter, pageQuery } from '../../../postgres/queries.ts';
import { isDataFault, sqlState } from '../../../postgres/sql-state.ts';
import {
  columnExpressions,
  jsonbDefects,
  NULL,
  type PageRows,
  PLACES,
  place,
  REPLACED,
  textColumns,
  textDefects,
} from '../../entries/entry.ts';
import {
  type CarefulEntry,
  type Page,
  readCarefully,
  refusedByDatabase,
  withShortColumns,
} from '../../entries/page.ts';
import { toMultirange } from '../../planning/coverage.ts';
import type { ClaimedReads, CommitResult, CoveredEntries, PageCommit } from '../../planning/source.ts';

/**
 * Fence, entries, positions, the lane with its walk and the coverage, in one autocommit statement, together or not at
 * all (invariant 1): nothing else moves a cursor forward. Safe to repeat after an ambiguous failure: what is stored
 * is found by its id, and a lease that moved on writes nothing. Throws ApiError `unreadable` if the database refuses
 * the page even with each entry as text. `onRefused`: it has refused the page as it came.
 */
export const commitPage = async (
  pool: Pool,
  commit: PageCommit,
  leaseMs: number,
  onRefused?: () => void,
): Promise<CommitResult> => {
  const { page } = commit;
  const send = () => {
    const rows = rowsOf(page);
    if (rows !== undefined) return runWithRows(pool, commit, leaseMs, rows);
    return page.kind === 'careful'
      ? run(pool, commit, leaseMs, { form: 'careful', page: [toRows(readCarefully(page))] })
      : run(pool, commit, leaseMs, { form: 'plain', page: [page.entriesText] });
  };
  return await retryWithoutRejected(pool, page, send, (rows) => {
    onRefused?.();
    return run(pool, commit, leaseMs, { form: 'careful', page: [rows] });
  });
};

/** Whether PostgreSQL need not read the page itself. */
export const rowsOf = (page: Page): PageRows | undefined =>
  page.kind === 'columns' ? page.rows : page.entries === 0 ? noRows : undefined;

const noRows: PageRows = {
  bytes: Buffer.alloc(0),
  spans: new Int32Array(0),
  replaced: new Map(),
  firsts: [],
  statusCodes: [],
};

const runWithRows = async (pool: Pool, commit: PageCommit, leaseMs: number, rows: PageRows): Promise<CommitResult> => {
  const { parameters, giveBack } = rowParameters(rows);
  const result = await run(pool, commit, leaseMs, { form: 'rows', page: parameters });
  giveBack();
  return result;
};

/** Runs a statement with the page in a form that the database takes: for comparing. */
export const inPageForm = async <T>(
  pool: Pool,
  page: Page,
  send: (form: PageForm, pageText: string) => Promise<T>,
): Promise<T> =>
  await retryWithoutRejected(
    pool,
    page,
    () => (page.kind === 'careful' ? send('careful', toRows(readCarefully(page))) : send('plain', page.entriesText)),
    (rows) => send('careful', rows),
  );

/** If the database refuses what is in it, sends the page again with what it cannot hold as text. */
const retryWithoutRejected = async <T>(
  pool: Pool,
  page: Page,
  send: () => Promise<T>,
  sendAgain: (rows: string) => Promise<T>,
): Promise<T> => {
  try {
    return await send();
  } catch (error) {
    if (!isDataFault(error)) throw error;
    const rows = toRows(await withoutRefused(pool, page));
    return await sendAgain(rows).catch((again: unknown) => {
      if (!isDataFault(again)) throw again;
      // Whatever it is about this page, it is this source's trouble alone (invariant 10). The server's words quote the data.
      throw new ApiError('unreadable', `PostgreSQL refuses the page (SQLSTATE ${sqlState(again)})`, { cause: again });
    });
  }
};

/** Keeps as text what it cannot hold as JSON; cuts what no index takes. */
const withoutRefused = async (pool: Pool, page: Page): Promise<readonly CarefulEntry[]> => {
  const entries: CarefulEntry[] = [];
  for (const entry of readCarefully(page)) {
    const [row] = JSON.parse(toRows([entry])) as [{ raw: string; columns: string }];
    const refused = await pool.query('select $1::json, $2::jsonb', [row.raw, row.columns]).then(
      () => false,
      (error: unknown) => {
        if (isDataFault(error)) return true;
        throw error;
      },
    );
    entries.push(refused ? refusedByDatabase(entry) : withShortColumns(entry));
  }
  return entries;
};

const toRows = (entries: readonly CarefulEntry[]): string =>
  JSON.stringify(
    entries.map((entry) => ({
      raw: entry.defects.some((defect) => textDefects.includes(defect)) ? JSON.stringify(entry.text) : entry.text,
      columns: entry.columnSource,
      id: entry.id ?? null,
      time: entry.actionTime ?? null,
      defects: entry.defects,
    })),
  );

export interface CommitRow {
  readonly fence: number;
  readonly entries: number;
  readonly stored: number;
  readonly changed: number;
  readonly defective: number;
  readonly lateness: readonly number[] | null;
  readonly covered: readonly CoveredEntries[] | null;
}

interface SentPage {
  readonly form: keyof typeof commitStatements;
  readonly page: readonly PageParameter[];
}

const run = async (pool: Pool, commit: PageCommit, leaseMs: number, sent: SentPage): Promise<CommitResult> => {
  const parameters = [...fixedParameters(commit, leaseMs), ...sent.page];
  const { rows } = await pageQuery<CommitRow>(pool, commitStatements[sent.form], parameters);
  return resultOf(commit, rows[0]);
};

export const resultOf = ({ lease }: PageCommit, row: CommitRow | undefined): CommitResult => {
  if (row === undefined || row.fence === 0) return { kind: 'fenced' };
  return {
    kind: 'committed',
    lease: { ...lease, commitSeq: lease.commitSeq + 1 },
    stored: row.stored,
    duplicates: row.entries - row.stored,
    changed: row.changed,
    defective: row.defective,
    latenessSeconds: row.lateness ?? [],
    covered: row.covered ?? [],
  };
};

/** Who takes the page apart for comparing: the database alone, or with what was read of each entry here. */
export type PageForm = 'plain' | 'careful';

/** `offset 0`: else each entry is read once for each use of `j`. */
const plainPage = (page: string): string => `
  select n, e as raw, e::jsonb as j, null::text as known_id, null::text as known_time, null::text[] as defects
  from json_array_elements(${page}::json) with ordinality as x (e, n) offset 0`;

/** Each entry comes with its exact text, what was read of it, and JSON that gives the columns. */
const carefulPage = (page: string): string => `
  select n, (e ->> 'raw')::json as raw, (e ->> 'columns')::jsonb as j, e ->> 'id' as known_id, e ->> 'time' as known_time,
    case when jsonb_array_length(e -> 'defects') > 0
      then array(select jsonb_array_elements_text(e -> 'defects')) end as defects
  from jsonb_array_elements(${page}::jsonb) with ordinality as x (e, n) offset 0`;

const sqlList = (names: readonly string[]): string => `array[${names.map((name) => `'${name}'`).join(', ')}]`;
const heldAsText = sqlList(textDefects);
const notJsonb = sqlList([...jsonbDefects, ...textDefects]);

/** The entries of a page, given by the parameter `page`, with the id and the time that they are stored under. */
export const pageEntries = (form: PageForm, page: string): string => `
  select n, raw, j, defects,
    coalesce(case when 'id_too_long' = any(defects) then 'sha256:' || encode(sha256(convert_to(known_id, 'UTF8')), 'hex')
      else known_id end, case when defects is null then j ->> 'id' end,
      'sha256:' || encode(sha256(convert_to(case when defects && ${heldAsText} then raw #>> '{}' else raw::text end,
        'UTF8')), 'hex')) as id,
    coalesce(case when defects is null then j #>> '{action,time}' else known_time end, '-infinity')::timestamptz as action_time
  from (${form === 'plain' ? plainPage(page) : carefulPage(page)}) as read`;

export const contentDiffers = (a: string, b: string): string => `
  (${a}.raw::text <> ${b}.raw::text and case
    when ${a}.defects && ${notJsonb} or ${b}.defects && ${notJsonb} then true
    else ${a}.raw::jsonb <> ${b}.raw::jsonb end)`;

const FIXED_PARAMETERS = 21;
const columnNames = columnExpressions.map(([name]) => name);
const pageNames = ['raw', 'id', 'action_time', 'first_n', 'defects', ...columnNames];

const PAGE_PARAMETERS = FIXED_PARAMETERS + pageNames.length;

const parameters = (first: number, last: number): string =>
  Array.from({ length: last - first + 1 }, (_, index) => `$${first + index}`).join(', ');

const call = (page: string): string => `orgtrail_commit_page_2(${parameters(1, FIXED_PARAMETERS)}, ${page})`;

/** PostgreSQL reads the page, whose text is the last parameter, and makes the arrays itself. */
const ofJson = (form: PageForm): string => `
with page as (
  select n, raw, id, action_time::text, min(n) over (partition by id)::integer as first_n, defects::text,
    ${columnExpressions.map(([name, expression]) => `${expression} as ${name}`).join(', ')}
  from (${pageEntries(form, `$${FIXED_PARAMETERS + 1}`)}) as read),
arrays as (select ${pageNames.map((name) => `array_agg(${name} order by n) as ${name}`).join(', ')} from page)
select result.* from arrays, ${call(pageNames.map((name) => `arrays.${name}`).join(', '))} as result`;

/** By how a page comes: `rows` in columns (see `PageRows`), as `pageNames` has them, or as a text of JSON for the
 * database to read. */
const commitStatements = {
  rows: `select * from ${call(parameters(FIXED_PARAMETERS + 1, FIXED_PARAMETERS + pageNames.length))}`,
  plain: ofJson('plain'),
  careful: ofJson('careful'),
} as const;

/**
 * For pages in columns, each of another source, in the order of the sources' keys, which is the order of all locks.
 * Returns a numbered row for each; none for a page whose source another statement holds: it would wait, and the others
 * with it, with the feed's head locked.
 */
export const commitTogether = (pages: number): string => {
  const numbers = Array.from({ length: pages }, (_, index) => index);
  const at = (page: number, parameter: number): string => `$${page * PAGE_PARAMETERS + parameter}`;
  const given = (parameter: number): string =>
    `array[${numbers.map((page) => `${at(page, parameter)}::text`).join(', ')}]`;
  // The kind comes from "free": so the function is not called before all of "free" is known, nor for a page that is not in it.
  const commitOne = (page: number): string => `
select ${page + 1} as number, result.*
from (select ${at(page, 1)}::text as kind from free where ${page + 1} = any(numbers) offset 0) as own,
  orgtrail_commit_page_2(own.kind, ${parameters(page * PAGE_PARAMETERS + 2, (page + 1) * PAGE_PARAMETERS)}) as result`;
  return `
with free as materialized (
  select array_agg(number) as numbers
  from (select given.number from unnest(${given(1)}, ${given(2)}) with ordinality as given (kind, id, number)
      join sources s on s.kind = given.kind and s.id = given.id
    order by s.kind, s.id for no key update of s skip locked) as locked)
${numbers.map(commitOne).join('\nunion all')}`;
};

const WIDE_DEDUPE_ENTRIES = 200;
const DEDUPE_MARGIN_MS = 35 * 86_400_000;
/** Years outside of these do not go through ISO strings of four digits. */
const EARLIEST_BOUND_MS = Date.UTC(1000, 0, 1);
const LATEST_BOUND_MS = Date.UTC(9000, 0, 1);

const buffers = new BufferPool();

interface RowParameters {
  readonly parameters: readonly PageParameter[];
  /** Not after a failure: the connection may still be sending from it. */
  giveBack(): void;
}

export const rowParameters = (rows: PageRows): RowParameters => {
  const sizes = arrays.map(({ at }) => sizeOfArray(rows, at));
  const buffer = buffers.take(sizes.reduce((sum, size) => sum + size));
  let end = 0;
  const [texts, ids, times, ...columns] = arrays.map(({ at, type }, index) => {
    const start = end;
    end += sizes[index] ?? 0;
    const target = buffer.subarray(start, end);
    writeArray(rows, at, type, target);
    return target;
  }) as [Buffer, Buffer, Buffer, ...Buffer[]];
  return {
    parameters: [texts, ids, times, integerArray(rows.firsts), null, ...columns, integerArray(rows.statusCodes)],
    giveBack: () => buffers.giveBack(buffer),
  };
};

const arrays = [
  { at: place.text, type: 'json' as const },
  ...[place.id, place.time, ...Object.keys(textColumns).map((_, index) => place.firstColumn + index), place.rayId].map(
    (at) => ({ at, type: 'text' as const }),
  ),
];

export const fixedParameters = (commit: PageCommit, leaseMs: number): readonly PageParameter[] => {
  const { lease, page, state, eventRate, holes = [], reading, reads } = commit;
  const claimed = commit.claims.flatMap((ranges, pass) => (ranges.length === 0 ? [] : [{ pass, ranges }]));
  return [
    lease.kind,
    lease.id,
    lease.organizationId,
    lease.epoch,
    lease.owner,
    lease.commitSeq,
    // Without it, the lease ends.
    commit.endsTurn === true ? null : leaseMs,
    commit.lane,
    commit.filterHash,
    page.timesMs.reduce<number | null>((latest, timeMs) => Math.max(latest ?? timeMs, timeMs), null),
    eventRate?.perHour ?? null,
    eventRate?.recentPerHour ?? null,
    claimed.map(({ pass }) => pass),
    claimed.map(({ ranges }) => toMultirange(ranges)),
    ...dedupeBounds(page),
    json(state),
    holes.length === 0 ? null : json(holes.map(({ range, ...hole }) => ({ ...range, ...hole }))),
    json(reading && { ...reading, ...reading.range }),
    commit.largestPage ?? page.entries,
    claimed.length === 0 ? null : json(reads && toReads(reads)),
  ];
};

const json = (value: object | undefined): string | null => (value === undefined ? null : JSON.stringify(value));

const toReads = ({ window, pages, entries, answers }: ClaimedReads) => ({ ...window, pages, entries, ...answers });

/** Where to look for a known entry: everywhere for an ordinary page; for a large one, five weeks around its own times,
 * a few partitions. Only an entry that comes again with a time further off, on a large page, would be stored twice. */
export const dedupeBounds = (page: Page): [string, string] => {
  if (page.entries <= WIDE_DEDUPE_ENTRIES || page.timesMs.length === 0) return ['-infinity', 'infinity'];
  const bound = (timeMs: number) => new Date(timeMs).toISOString();
  const earliestMs = page.timesMs.reduce((a, b) => Math.min(a, b));
  const latestMs = page.timesMs.reduce((a, b) => Math.max(a, b));
  if (earliestMs < EARLIEST_BOUND_MS || latestMs > LATEST_BOUND_MS) return ['-infinity', 'infinity'];
  return [bound(earliestMs - DEDUPE_MARGIN_MS), bound(latestMs + DEDUPE_MARGIN_MS)];
};

/** OIDs of PostgreSQL's types, the same in every database. */
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
/** Shorter values are copied here, byte by byte: a call costs more. */
const SHORT_BYTES = 48;

type ElementType = 'text' | 'json';
const oids = { text: TEXT, json: JSON_TYPE } as const satisfies Record<ElementType, number>;

export const sizeOfArray = ({ spans, replaced, firsts }: PageRows, place: number): number => {
  let size = HEADER_BYTES + firsts.length * LENGTH_BYTES;
  for (let row = 0; row < firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    if (start === REPLACED) size += Buffer.byteLength(replaced.get(index) ?? '');
    else if (start !== NULL) size += (spans[index + 1] ?? start) - start;
  }
  return size;
};

/** PostgreSQL's binary array format, into exactly `sizeOfArray` bytes. The text format would have every quote and
 * backslash escaped here and read again there, character by character. */
export const writeArray = (rows: PageRows, place: number, type: ElementType, target: Buffer): void => {
  const { bytes, spans } = rows;
  let at = writeHeader(target, rows.firsts.length, true, oids[type]);
  for (let row = 0; row < rows.firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    const from = at + LENGTH_BYTES;
    if (start === NULL) {
      at = target.writeInt32BE(-1, at);
    } else if (start === REPLACED) {
      const length = target.write(rows.replaced.get(index) ?? '', from, 'utf8');
      at = target.writeInt32BE(length, at) + length;
    } else {
      const length = (spans[index + 1] ?? start) - start;
      target.writeInt32BE(length, at);
      copy(bytes, start, length, target, from);
      at = from + length;
    }
  }
};

const copy = (source: Buffer, start: number, length: number, target: Buffer, at: number): void => {
  if (length > SHORT_BYTES) {
    source.copy(target, at, start, start + length);
    return;
  }
  for (let index = 0; index < length; index += 1) target[at + index] = source[start + index] ?? 0;
};

export const integerArray = (values: readonly (number | null)[]): Buffer => {
  const nulls = values.reduce<number>((count, value) => count + (value === null ? 1 : 0), 0);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + values.length * 8 - nulls * 4);
  let at = writeHeader(bytes, values.length, nulls > 0, INT4);
  for (const value of values) {
    at = bytes.writeInt32BE(value === null ? -1 : 4, at);
    if (value !== null) at = bytes.writeInt32BE(value, at);
  }
  return bytes;
};

/** Dimensions, whether there are nulls, the type; then the length and the lower bound of the one dimension. */
const writeHeader = (bytes: Buffer, length: number, hasNull: boolean, type: number): number => {
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt32BE(hasNull ? 1 : 0, at);
  at = bytes.writeInt32BE(type, at);
  at = bytes.writeInt32BE(length, at);
  return bytes.writeInt32BE(1, at);
};
