import { DatabaseError, type Pool } from 'pg';
import { pageQuery } from '../../../postgres/queries.ts';
import { isRefusal, sqlState } from '../../../postgres/sql-state.ts';
import { type CommitResult, keyOf, type PageCommit } from '../../planning/source.ts';
import {
  type CommitRow,
  commitPage,
  commitTogether,
  fixedParameters,
  resultOf,
  rowParameters,
  rowsOf,
} from './commit-page.sql.ts';

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
export const createPageCommits = (pool: Pool, leaseMs: number, slowCallMs = SLOW_CALL_MS): CommitPages => {
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
    slowCallMs,
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

/** How a call ended for one item; 'alone': as if it had not been in it. */
export type Outcome<Result> = { readonly result: Result } | 'alone';

export interface GatheringOptions<Item, Result> {
  /** One call for all, with an outcome for each. If it rejects, all have failed. */
  together(items: readonly Item[]): Promise<readonly Outcome<Result>[]>;
  alone(item: Item): Promise<Result>;
  /** Its share of a call, which has room for 1. An item of more than half goes by itself. */
  weightOf(item: Item): number;
  /** Calls at once, beside those of heavy items; other items wait. */
  readonly maxCalls: number;
  /** A call that takes longer does not hold up what waits. */
  readonly slowCallMs: number;
}

/** Two heavier ones gain nothing by each other. */
const MOST_TOGETHER = 0.5;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result | Promise<Result>) => void;
  readonly reject: (error: unknown) => void;
}

/** An item is begun at once while there are calls to spare; what comes while all are under way goes with the first that
 * ends, in order. Nothing waits for others to come. */
export class Gathering<Item, Result> {
  readonly #options: GatheringOptions<Item, Result>;
  readonly #waiting: Waiting<Item, Result>[] = [];
  #calls = 0;

  constructor(options: GatheringOptions<Item, Result>) {
    this.#options = options;
  }

  add(item: Item): Promise<Result> {
    if (this.#options.weightOf(item) > MOST_TOGETHER) return this.#options.alone(item);
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ item, resolve, reject });
    this.#pump();
    return promise;
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#calls < this.#options.maxCalls) void this.#call(this.#next());
  }

  #next(): readonly Waiting<Item, Result>[] {
    let weight = 0;
    let count = 0;
    for (const { item } of this.#waiting) {
      weight += this.#options.weightOf(item);
      if (count > 0 && weight > 1) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #call(items: readonly Waiting<Item, Result>[]): Promise<void> {
    const release = this.#take();
    const { together, alone } = this.#options;
    const [first] = items;
    if (items.length === 1 && first !== undefined) {
      await alone(first.item).then(first.resolve, first.reject);
      release();
      return;
    }
    try {
      const outcomes = await together(items.map(({ item }) => item));
      for (const [index, { item, resolve }] of items.entries()) {
        const outcome = outcomes[index] ?? 'alone';
        resolve(outcome === 'alone' ? alone(item) : outcome.result);
      }
    } catch (error) {
      for (const { reject } of items) reject(error);
    }
    release();
  }

  #take(): () => void {
    this.#calls += 1;
    let isCounted = true;
    const release = (): void => {
      clearTimeout(timer);
      if (!isCounted) return;
      isCounted = false;
      this.#calls -= 1;
      this.#pump();
    };
    const timer = setTimeout(release, this.#options.slowCallMs);
    timer.unref();
    return release;
  }
}
