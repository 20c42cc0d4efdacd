import { describe, expect, test } from 'vitest';
import { sortLateEntries } from '../../../../src/ingest/planning/late-entries.ts';

describe('late entries', () => {
  test('in time that was not read before, there are none', () => {
    expect(sortLateEntries([], 'settle', 2)).toEqual({ foundBy: {}, byLastPass: 0, beyondLastPass: 0 });
  });

  test('a settle pass finds what the pass before it could not see; the last one is told apart', () => {
    const covered = [
      { pass: 0, entries: 5 },
      { pass: 1, entries: 3 },
    ];
    expect(sortLateEntries(covered, 'settle', 2)).toEqual({
      foundBy: { 1: 5, 2: 3 },
      byLastPass: 3,
      beyondLastPass: 0,
    });
  });

  test('what the last pass had read is beyond it, whatever lane finds it', () => {
    const covered = [
      { pass: 1, entries: 4 },
      { pass: 2, entries: 7 },
    ];
    for (const lane of ['live', 'backfill', 'settle'] as const) {
      expect(sortLateEntries(covered, lane, 2).beyondLastPass).toBe(7);
    }
  });

  test('looking back, a lane finds them by its own name: that says nothing of the last pass', () => {
    expect(sortLateEntries([{ pass: 1, entries: 4 }], 'live', 2)).toEqual({
      foundBy: { live: 4 },
      byLastPass: 0,
      beyondLastPass: 0,
    });
  });

  test('without settle passes the first reading is the last', () => {
    expect(sortLateEntries([{ pass: 0, entries: 2 }], 'live', 0).beyondLastPass).toBe(2);
  });
});
