import { expect, test } from 'vitest';
import { sortLateEntries } from '../../../../src/ingest/planning/late-entries.ts';

type Args = Parameters<typeof sortLateEntries>;

/** What has been read before: entries by pass. */
const covered = (byPass: Readonly<Record<number, number>>): Args[0] =>
  Object.entries(byPass).map(([pass, entries]) => ({ pass: Number(pass), entries }));

// biome-ignore format: a table
test.each<[string, Record<number, number>, Args[1], number, Record<string, number>, number, number]>([
  ['in time that was not read before, there are none', {}, 'settle', 2, {}, 0, 0],
  ['a pass finds what the one before could not see; the last is told apart', { 0: 5, 1: 3 }, 'settle', 2, { 1: 5, 2: 3 }, 3, 0],
  ['what the last pass had read is beyond it, for a live lane', { 1: 4, 2: 7 }, 'live', 2, { live: 4 }, 0, 7],
  ['for history', { 1: 4, 2: 7 }, 'backfill', 2, { backfill: 4 }, 0, 7],
  ['and for a settle pass', { 1: 4, 2: 7 }, 'settle', 2, { 2: 4 }, 4, 7],
  ['looking back, a lane finds them by its own name: that says nothing of the last pass', { 1: 4 }, 'live', 2, { live: 4 }, 0, 0],
  ['without settle passes the first reading is the last', { 0: 2 }, 'live', 0, {}, 0, 2],
])('%s', (_, before, lane, lastPass, foundBy, byLastPass, beyondLastPass) => {
  expect(sortLateEntries(covered(before), lane, lastPass)).toEqual({ foundBy, byLastPass, beyondLastPass });
});
