import type { Pool } from 'pg';
import { ApiError } from '../../../errors.ts';
import { type PageParameter, pageQuery } from '../../../postgres/page-query.ts';
import { isDataFault, sqlState } from '../../../postgres/sql-state.ts';
import { textDefects } from '../../entries/entry.ts';
import type { PageRows } from '../../entries/entry-columns.ts';
import {
  type CarefulEntry,
  type Page,
  readCarefully,
  refusedByDatabase,
  withShortColumns,
} from '../../entries/page.ts';
import type { CoveredEntries } from '../../planning/late-entries.ts';
import type { CommitResult, PageCommit } from '../../planning/source.ts';
import { commitStatements, type PageForm } from './commit-statement.sql.ts';
import { fixedParameters, rowParameters } from './page-parameters.ts';

/**
 * Commits a page: fence, entries, their positions, the lane with its walk and the coverage, in one autocommit statement,
 * together or not at all (invariant 1). There is no other way to move a cursor. Safe to repeat after an ambiguous
 * failure: what is stored is found by its id, and a lease that moved on writes nothing. Throws ApiError `unreadable` if the
 * database refuses what the page holds even with each entry as text; what else it throws is the database's own fault. `onRefused`: it has
 * refused the page as it came.
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

/** Runs a statement with the page in a form that the database takes. Used for comparing. */
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

/** Sends a page; if the database refuses what is in it, sends it again with what it cannot hold as text. */
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

/** Asks the database about each entry of a page that it refused, and keeps as text what it cannot hold as JSON; cuts what no index takes. */
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

/** What the function returns. */
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

/** What the row says that the function returns. */
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
