import { describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { asCareful, commit, entryText, newSource, pageOf, seconds, T0 } from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();

describe('entries in time that was read before', () => {
  test('are counted by the highest pass that had read it, as of before their own commit', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'late');
    const first = await committed(pool, lease, [entryText('in-time', T0 + 1_000)], {
      claims: [seconds(0, 100), seconds(0, 50), seconds(0, 10)],
    });
    expect(first.covered, 'what this commit claims does not count for its own entries').toEqual([]);
    const page = [5, 20, 30, 60, 100, 200].map((at) => entryText(`at-${at}`, T0 + at * 1_000));
    const second = await committed(pool, first.lease, [...page, entryText('in-time', T0 + 1_000)], {
      lane: 'settle',
      claims: [seconds(0, 300), seconds(0, 300), seconds(0, 300)],
    });
    // 100 and 200 are new to all of them: ranges end before their end.
    expect(second.covered.toSorted((a, b) => a.pass - b.pass)).toEqual([
      { pass: 0, entries: 1 },
      { pass: 1, entries: 2 },
      { pass: 2, entries: 1 },
    ]);
    const again = await committed(pool, second.lease, page);
    expect(again.covered, 'known entries are not late').toEqual([]);
  });

  test('do not count without a readable time, nor under other filters, nor for another source', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'other');
    const claims = [seconds(0, 100)];
    const first = await committed(pool, lease, [], { claims, filterHash: 'other filters' });
    const second = await committed(pool, first.lease, [entryText('other-filters', T0 + 1_000)], { claims });
    expect(second.covered).toEqual([]);
    const timeless = asCareful(pageOf(['{"id":"timeless"}', entryText('timed', T0 + 2_000)]));
    const third = await committed(pool, second.lease, timeless);
    expect(third).toMatchObject({ stored: 2, covered: [{ pass: 0, entries: 1 }] });
    const elsewhere = await newSource(pool, 'elsewhere');
    expect((await committed(pool, elsewhere, [entryText('timed', T0 + 2_000)])).covered).toEqual([]);
  });
});

/** Commits a page; gives its counts and the lease to go on with. */
const committed = async (...parameters: Parameters<typeof commit>) => {
  const result = await commit(...parameters);
  if (result.kind !== 'committed') throw new Error('fenced');
  return result;
};
