import type { Lane } from './lanes.ts';

/** Of the entries that one commit stored, those in time that pass `pass`, and no later one, had read before. */
export interface CoveredEntries {
  readonly pass: number;
  readonly entries: number;
}

/** Entries that could not be seen yet when their time was read, by what found them in the end. */
export interface LateEntries {
  /** By the number of a settle pass, or by the lane that looked back over time that had been read. */
  readonly foundBy: Readonly<Record<string, number>>;
  /** Of these, found by the last pass: what comes a little later will be missed. */
  readonly byLastPass: number;
  /** Not in `foundBy`: in time that the last pass had read. No pass would ever have found them. */
  readonly beyondLastPass: number;
}

/**
 * Sorts the late entries of a commit. `lastPass` is the number of settle passes; 0 if there is the first reading alone. What the scrub lane
 * finds is not among them: whether it was late or has been missed cannot be told, and it is counted by itself.
 */
export const sortLateEntries = (covered: readonly CoveredEntries[], lane: Lane, lastPass: number): LateEntries => {
  const foundBy: Record<string, number> = {};
  let byLastPass = 0;
  let beyondLastPass = 0;
  if (lane === 'scrub') return { foundBy, byLastPass, beyondLastPass };
  for (const { pass, entries } of covered) {
    if (pass >= lastPass) {
      beyondLastPass += entries;
      continue;
    }
    const finder = lane === 'settle' ? String(pass + 1) : lane;
    foundBy[finder] = (foundBy[finder] ?? 0) + entries;
    if (lane === 'settle' && pass + 1 === lastPass) byLastPass += entries;
  }
  return { foundBy, byLastPass, beyondLastPass };
};

/** What the scrub lane has found missing in time that had been read, and the last pass that had read it. */
export interface ScrubFind {
  readonly entries: number;
  readonly pass: number;
}

/** Undefined if there is nothing, or another lane has found it. */
export const foundByScrub = (covered: readonly CoveredEntries[], lane: Lane): ScrubFind | undefined => {
  const entries = covered.reduce((sum, each) => sum + each.entries, 0);
  if (lane !== 'scrub' || entries === 0) return undefined;
  return { entries, pass: Math.max(...covered.map(({ pass }) => pass)) };
};
