import type { Pool } from 'pg';
import { ApiError } from '../../../base/errors.ts';
import { type PageParameter, pageQuery } from '../../../postgres/page-query.ts';
import { isDataFault, sqlState } from '../../../postgres/sql-state.ts';
import { columnExpressions, jsonbDefects, type PageRows, textDefects } from '../../entries/entry.ts';
import {
  type CarefulEntry,
  type Page,
  readCarefully,
  refusedByDatabase,
  withShortColumns,
} from '../../entries/page.ts';
import type { CommitResult, CoveredEntries, PageCommit } from '../../planning/source.ts';
import { fixedParameters, rowParameters } from './page-parameters.ts';

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
