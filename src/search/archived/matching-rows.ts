import type { Pool } from '../../postgres/pool.ts';
import type { ArchivedColumn } from './archived-columns.ts';
import type { ArchivedCondition } from './archived-conditions.ts';
import { createDecide } from './decide-rows.sql.ts';
import type { ArchivedGroup, ArchivedMonths } from './ports.ts';

/** The rows of a group that meet all conditions of a search but those of time, in order of position. */
export interface MatchedRows {
  readonly rows: readonly number[];
  /** In microseconds since 1970. */
  readonly times: readonly bigint[];
  readonly positions: readonly number[];
}

/** What was found of groups, so that the next page of a search, and one that goes on after a time-out, need not look again. */
export interface MatchMemory {
  get(key: string, make: () => Promise<MatchedRows>): Promise<MatchedRows>;
}

const nothing: MatchedRows = { rows: [], times: [], positions: [] };

/** Looks for the rows of one search. */
export interface Matcher {
  /** Another text for each other set of conditions. */
  readonly question: string;
  match(group: ArchivedGroup): Promise<MatchedRows>;
}

/** Looks for the rows of one search, group by group. What it began for one reader may be for others as well, so no signal ends it. */
export const createMatcher = (
  { pool, months, memory }: { readonly pool: Pool; readonly months: ArchivedMonths; readonly memory: MatchMemory },
  { conditions, isChanged }: { readonly conditions: readonly ArchivedCondition[]; readonly isChanged: boolean },
): Matcher => {
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
  return { question, match: (group) => memory.get(`${group.name} ${question}`, () => look(group)) };
};
