import type { Pool } from '../pool.ts';

/** A session that a statement waits for. What this account may not see of it is null. */
interface Blocker {
  /** 0: a prepared transaction. */
  readonly pid: number;
  readonly application: string | null;
  readonly state: string | null;
  /** How old its transaction is. */
  readonly seconds: number | null;
  /** How its last statement begins: what stands further on may be a secret. */
  readonly query: string | null;
}

/** A statement that waits for others. */
export interface BlockedStatement {
  readonly statement: string;
  readonly blockers: readonly Blocker[];
}

export type OnBlocked = (blocked: BlockedStatement) => void;

/** Half of the time for which an impatient statement asks for its lock: it is looked at once. */
const FIRST_LOOK_MS = 400;
const LONGEST_BETWEEN_LOOKS_MS = 6_400;

/**
 * Does `work`, which runs `statement`, and tells whom that waits for, each time it looks. It is found by its text, so that this works behind a pooler.
 * Looks take another connection of the pool; one that fails tells nothing.
 */
export const tellBlockers = async <T>(
  pool: Pool,
  statement: string,
  onBlocked: OnBlocked,
  work: () => Promise<T>,
): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  let isDone = false;
  const lookIn = (waitMs: number): void => {
    timer = setTimeout(async () => {
      const blockers = await findBlockers(pool, statement).catch(() => []);
      if (isDone) return;
      if (blockers.length > 0) onBlocked({ statement, blockers });
      lookIn(Math.min(LONGEST_BETWEEN_LOOKS_MS, 2 * waitMs));
    }, waitMs);
  };
  lookIn(FIRST_LOOK_MS);
  try {
    return await work();
  } finally {
    isDone = true;
    clearTimeout(timer);
  }
};

const findBlockers = async (pool: Pool, statement: string): Promise<readonly Blocker[]> => {
  // The server keeps the first kilobyte of a statement.
  const { rows } = await pool.query<Blocker>(
    `select distinct on (b.pid) b.pid, a.application_name as application, a.state,
       extract(epoch from clock_timestamp() - a.xact_start)::integer as seconds,
       left(regexp_replace(a.query, '\\s+', ' ', 'g'), 40) as query
     from pg_stat_activity w cross join unnest(pg_blocking_pids(w.pid)) b (pid) left join pg_stat_activity a on a.pid = b.pid
     where w.datname = current_database() and w.state = 'active' and w.wait_event_type = 'Lock'
       and left(w.query, 200) = left($1, 200) order by b.pid`,
    [statement],
  );
  return rows;
};
