import type { BenchDatabase } from './bench-database.ts';
import { type PageSource, type RunningContender, startContender } from './contenders/children.ts';
import type { ContenderName } from './contenders/contender.ts';
import { type Cost, measured } from './measure.ts';

/** One way of doing it, in one case, round by round. */
export interface Measured {
  readonly name: string;
  readonly seconds: readonly number[];
  /** Dealt with in one round. */
  readonly entries: number;
  readonly costs: readonly Cost[];
  readonly requests: number;
  /** Rows and positions that the last round added. */
  readonly added: { readonly rows: number; readonly positions: number };
}

/** One way, ready to be measured any number of times. */
export interface Entrant {
  readonly name: string;
  readonly contender: ContenderName;
  readonly database: BenchDatabase;
  /** The slow ones stop after so many entries. */
  readonly entries: number;
  /** Brings the database into the state that the case requires. */
  reset(): Promise<void>;
  /** Which set of organizations is asked for in this round. */
  readonly set?: (round: number) => number;
}

const CONCURRENCY = 4;

/** Runs all in turn, A B C A B C; the first round warms up and does not count. Their processes live as long as the case. */
export const compare = async (
  entrants: readonly Entrant[],
  source: PageSource,
  rounds: number,
  progress: (line: string) => void,
): Promise<readonly Measured[]> => {
  await using stack = new AsyncDisposableStack();
  const running = new Map<string, RunningContender>();
  for (const { name, contender } of entrants) running.set(name, stack.use(startContender(contender)));
  const results = new Map<string, Measured>();
  for (let round = 0; round <= rounds; round += 1) {
    for (const entrant of entrants) {
      const one = await runOnce(entrant, running.get(entrant.name) as RunningContender, source, round);
      const before = results.get(entrant.name);
      const counted = round === 0 ? { ...one, seconds: [], costs: [] } : one;
      results.set(entrant.name, {
        ...counted,
        seconds: [...(before?.seconds ?? []), ...counted.seconds],
        costs: [...(before?.costs ?? []), ...counted.costs],
      });
      const rate = Math.round(one.entries / (one.seconds[0] ?? 1));
      progress(`round ${round}/${rounds} ${entrant.name}: ${one.entries} entries, ${rate}/s`);
    }
  }
  return [...results.values()];
};

const runOnce = async (
  entrant: Entrant,
  contender: RunningContender,
  source: PageSource,
  round: number,
): Promise<Measured> => {
  const { database, entries } = entrant;
  const { admin, postmaster } = database;
  const set = entrant.set?.(round);
  await entrant.reset();
  await contender.prepare({
    databaseUrl: database.url,
    baseUrl: source.baseUrl(set),
    organizations: source.organizations(set),
    entries,
    concurrency: CONCURRENCY,
  });
  const [before, asked] = [await database.counts(), await source.requests()];
  const { result, cost } = await measured({ admin, postmaster, pid: contender.pid }, () => contender.run());
  const [after, askedAfter] = [await database.counts(), await source.requests()];
  return {
    name: entrant.name,
    seconds: [result.seconds],
    // What is read again, to prove that nothing is missing, is the contender's own affair.
    entries: Math.min(result.entries, source.entries),
    costs: [cost],
    requests: askedAfter.audit + askedAfter.other - asked.audit - asked.other,
    added: { rows: after.rows - before.rows, positions: after.position - before.position },
  };
};
