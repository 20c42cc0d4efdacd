import type { Pool } from 'pg';
import { ApiError } from '../../../errors.ts';
import { BufferPool } from '../../../limits/buffer-pool.ts';
import { type PageParameter, pageQuery } from '../../../postgres/page-query.ts';
import { isDataFault, sqlState } from '../../../postgres/sql-state.ts';
import { textDefects } from '../../entries/entry.ts';
import { type PageRows, place, textColumns } from '../../entries/entry-columns.ts';
import {
  type CarefulEntry,
  type Page,
  readCarefully,
  refusedByDatabase,
  withShortColumns,
} from '../../entries/page.ts';
import { toMultirange } from '../../planning/coverage.ts';
import type { Hole } from '../../planning/lane.ts';
import type { CoveredEntries } from '../../planning/late-entries.ts';
import type { CommitResult, PageCommit } from '../../planning/source.ts';
import { integerArray, sizeOfArray, writeArray } from './binary-array.ts';
import { commitStatements, type PageForm } from './commit-statement.sql.ts';

const WIDE_DEDUPE_ENTRIES = 200;
const DEDUPE_MARGIN_MS = 35 * 86_400_000;
/** Years outside of these do not go through ISO strings of four digits. */
const EARLIEST_BOUND_MS = Date.UTC(1000, 0, 1);
const LATEST_BOUND_MS = Date.UTC(9000, 0, 1);

/**
 * Commits a page: fence, entries, their positions, the lane with its walk and the coverage, in one autocommit statement,
 * together or not at all (invariant 1). There is no other way to move a cursor. Safe to repeat after an ambiguous
 * failure: what is stored is found by its id, and a lease that moved on writes nothing. Throws ApiError `unreadable` if the
 * database refuses what the page holds even with each entry as text; what else it throws is the database's own fault.
 */
export const commitPage = async (pool: Pool, commit: PageCommit, leaseMs: number): Promise<CommitResult> => {
  const { page } = commit;
  const send = () => {
    switch (page.kind) {
      case 'columns':
        return runWithRows(pool, commit, leaseMs, page.rows);
      case 'json':
        return run(pool, commit, leaseMs, { form: 'plain', page: [page.entriesText] });
      case 'careful':
        return run(pool, commit, leaseMs, { form: 'careful', page: [toRows(readCarefully(page))] });
    }
  };
  return await retryWithoutRejected(pool, page, send, (rows) =>
    run(pool, commit, leaseMs, { form: 'careful', page: [rows] }),
  );
};

const buffers = new BufferPool();

const runWithRows = async (pool: Pool, commit: PageCommit, leaseMs: number, rows: PageRows): Promise<CommitResult> => {
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
  const page = [texts, ids, times, integerArray(rows.firsts), null, ...columns, integerArray(rows.statusCodes)];
  const result = await run(pool, commit, leaseMs, { form: 'rows', page });
  // After a failure the connection may still be sending from it.
  buffers.giveBack(buffer);
  return result;
};

/** What goes as arrays of texts, in the order of the statement's parameters. */
const arrays = [
  { at: place.text, type: 'json' as const },
  ...[place.id, place.time, ...Object.keys(textColumns).map((_, index) => place.firstColumn + index), place.rayId].map(
    (at) => ({ at, type: 'text' as const }),
  ),
];

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

interface CommitRow {
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
  const { lease } = commit;
  const parameters = [...fixedParameters(commit, leaseMs), ...sent.page];
  const { rows } = await pageQuery<CommitRow>(pool, commitStatements[sent.form], parameters);
  const row = rows[0];
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

/** What the function takes before the page, in its order. */
const fixedParameters = (
  { lease, state, claims, page, lane, filterHash, eventRate, largestPage, holes = [], reading }: PageCommit,
  leaseMs: number,
): readonly PageParameter[] => {
  const claimed = claims.flatMap((ranges, pass) => (ranges.length === 0 ? [] : [{ pass, ranges }]));
  return [
    lease.kind,
    lease.id,
    lease.organizationId,
    lease.epoch,
    lease.owner,
    lease.commitSeq,
    leaseMs,
    lane,
    filterHash,
    latest(page.timesMs),
    eventRate?.perHour ?? null,
    eventRate?.recentPerHour ?? null,
    claimed.map(({ pass }) => pass),
    claimed.map(({ ranges }) => toMultirange(ranges)),
    ...dedupeBounds(page),
    state === undefined ? null : JSON.stringify(state),
    holes.length === 0 ? null : JSON.stringify(holes.map(toHole)),
    reading === undefined ? null : JSON.stringify({ ...reading, ...reading.range }),
    largestPage ?? page.entries,
  ];
};

const toHole = ({ range, pass, reason, message }: Hole) => ({ ...range, pass, reason, message });

/**
 * Where to look for an entry that is known: everywhere for a page of ordinary size; for a large one, five weeks around its
 * own times, which is a few partitions. Only an entry that comes again with a time further off than that, on a large page,
 * would be stored twice.
 */
export const dedupeBounds = (page: Page): [string, string] => {
  if (page.entries <= WIDE_DEDUPE_ENTRIES || page.timesMs.length === 0) return ['-infinity', 'infinity'];
  const bound = (timeMs: number) => new Date(timeMs).toISOString();
  const earliestMs = page.timesMs.reduce((a, b) => Math.min(a, b));
  const latestMs = page.timesMs.reduce((a, b) => Math.max(a, b));
  if (earliestMs < EARLIEST_BOUND_MS || latestMs > LATEST_BOUND_MS) return ['-infinity', 'infinity'];
  return [bound(earliestMs - DEDUPE_MARGIN_MS), bound(latestMs + DEDUPE_MARGIN_MS)];
};

const latest = (timesMs: readonly number[]): number | null => {
  let latestMs: number | null = null;
  for (const timeMs of timesMs) if (latestMs === null || timeMs > latestMs) latestMs = timeMs;
  return latestMs;
};
