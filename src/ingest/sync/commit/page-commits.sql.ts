import { DatabaseError, type Pool } from 'pg';
import { pageQuery } from '../../../postgres/page-query.ts';
import { isRefusal, sqlState } from '../../../postgres/sql-state.ts';
import { type CommitResult, keyOf, type PageCommit } from '../../planning/source.ts';
import { Gathering, type Outcome } from './batcher.ts';
import { type CommitRow, commitPage, commitTogether, resultOf, rowsOf } from './commit-page.sql.ts';
import { fixedParameters, rowParameters } from './page-parameters.ts';

/** The feed's head lets one statement store at a time; the other reads its pages and looks for what is known. */
const MAX_CALLS = 2;
/** A slower call waits for something else than a few hundred rows. */
const SLOW_CALL_MS = 1_000;
const MAX_PAGES = 16;
const MAX_ENTRIES = 1_000;
const MAX_BYTES = 2_000_000;

export type CommitPages = (commit: PageCommit) => Promise<CommitResult>;

/**
 * Small pages of several sources that wait for the database go in one statement: one commit, one write to disk, one
 * turn at the feed's head. Each has its own fence; if the statement fails, nothing is stored, and each page goes alone.
 */
export const createPageCommits = (pool: Pool, leaseMs: number): CommitPages => {
  // Sources whose last page failed: with others, it would fail them all each time.
  const apart = new Set<string>();
  const alone = async (commit: PageCommit): Promise<CommitResult> => {
    const key = keyOf(commit.lease);
    let isRefused = false;
    // Until it has been stored as it came.
    apart.add(key);
    const result = await commitPage(pool, commit, leaseMs, () => {
      isRefused = true;
    });
    if (!isRefused) apart.delete(key);
    return result;
  };
  const gathering = new Gathering<PageCommit, CommitResult>({
    together: async (commits) => {
      try {
        return await commitAll(pool, commits, leaseMs);
      } catch (error) {
        if (!isRolledBack(error)) throw error;
        return commits.map(() => 'alone');
      }
    },
    alone,
    weightOf: (commit) => (apart.has(keyOf(commit.lease)) ? Number.POSITIVE_INFINITY : weightOf(commit)),
    maxCalls: MAX_CALLS,
    slowCallMs: SLOW_CALL_MS,
  });
  return (commit) => gathering.add(commit);
};

const weightOf = ({ page }: PageCommit): number =>
  rowsOf(page) === undefined
    ? Number.POSITIVE_INFINITY
    : Math.max(1 / MAX_PAGES, page.entries / MAX_ENTRIES, page.sizeBytes / MAX_BYTES);

/** The server has answered that the statement failed: no page of it is stored. */
const isRolledBack = (error: unknown): boolean =>
  error instanceof DatabaseError && (isRefusal(error) || sqlState(error)?.startsWith('40') === true);

const commitAll = async (
  pool: Pool,
  commits: readonly PageCommit[],
  leaseMs: number,
): Promise<readonly Outcome<CommitResult>[]> => {
  const sorted = [...commits].sort((a, b) => compare(a.lease.kind, b.lease.kind) || compare(a.lease.id, b.lease.id));
  const pages = sorted.flatMap((commit) => {
    const rows = rowsOf(commit.page);
    return rows === undefined ? [] : [{ commit, rows: rowParameters(rows) }];
  });
  const parameters = pages.flatMap(({ commit, rows }) => [...fixedParameters(commit, leaseMs), ...rows.parameters]);
  const { rows } = await pageQuery<CommitRow & { number: number }>(pool, commitTogether(pages.length), parameters);
  for (const page of pages) page.rows.giveBack();
  const outcomes = new Map<PageCommit, Outcome<CommitResult>>();
  for (const row of rows) {
    const commit = pages[row.number - 1]?.commit;
    if (commit !== undefined) outcomes.set(commit, { result: resultOf(commit, row) });
  }
  return commits.map((commit) => outcomes.get(commit) ?? 'alone');
};

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
