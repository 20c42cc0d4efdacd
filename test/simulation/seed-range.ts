import { expect } from 'vitest';
import { runSeed } from './run-seed.ts';
import { type Counts, countsTable, sometimes, sum } from './sometimes.ts';

/** All must hold in each of these worlds, and between them they must reach every rare path. */
export const expectAllHold = async (from: number, seeds: number): Promise<void> => {
  const counts: Counts = new Map();
  const failed: string[] = [];
  for (let seed = from; seed < from + seeds && failed.length < 5; seed += 1) {
    const result = await runSeed(seed);
    sum(counts, result.counts);
    if (result.violation !== undefined) failed.push(`npm run lab simulation -- --seed ${seed}: ${result.violation}`);
    // Between two worlds, what waits for the event loop gets its turn: an unhandled rejection, for one.
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(failed, 'seeds in which something did not hold').toEqual([]);
  console.log(`seeds ${from} to ${from + seeds - 1}: how often each rare path was reached\n${countsTable(counts)}`);
  for (const what of sometimes) expect(counts.get(what) ?? 0, `never reached: ${what}`).toBeGreaterThan(0);
};
