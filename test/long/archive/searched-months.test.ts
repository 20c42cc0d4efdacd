import { expect, test } from 'vitest';
import { openSearchedArchive } from '../../support/archive/searched-archive.ts';
import { createSearchedMonths, searchesOf } from '../../support/archive/searched-months.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

test.each([1, 2])(
  'a search finds what it found before months were dropped, by every filter (seed %i)',
  async (seed) => {
    // Over its time a search gives a part of a page.
    await using world = await openSearchedArchive({ limitMs: 600_000 });
    const random = seededRandom(seed);
    const add = await createSearchedMonths(world.owner, random);
    await add(9);
    const maxRows = 20 + Math.floor(random() * 40);
    await world.archive('2024-01', { maxRows });
    // So that the month gets further objects.
    await add(5);
    const limit = 20 + Math.floor(random() * 30);
    const searches = searchesOf(random);
    const before = [];
    const isBothWays = (n: number) => n % 4 === seed;
    for (const [n, query] of searches.entries()) before.push(await world.walk(query, limit, isBothWays(n)));
    expect((await world.drop({ maxRows })).dropped).toHaveLength(2);
    for (const [n, query] of searches.entries())
      expect(await world.walk({ ...query, archive: 'true' }, limit, isBothWays(n)), JSON.stringify(query)).toEqual(
        before[n],
      );
    expect(before.filter((pages) => (pages[0]?.events.length ?? 0) > 0).length).toBeGreaterThan(searches.length - 12);
  },
);
