import { describe, expect, test } from 'vitest';
import { openSearchedArchive, type Query } from '../../support/archive/searched-archive.ts';
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

describe('a search of archived months that is over its time at once', () => {
  // Row groups are in order of position, and these all have times from the whole of their month.
  test('gives each event once and ends, though nothing is remembered', async () => {
    await using world = await openSearchedArchive({ limitMs: 0, memory: { get: (_key, make) => make() } });
    const add = await createSearchedMonths(world.owner, seededRandom(3));
    await add(12);
    const before = [];
    for (const query of searches) before.push(await world.walk(query, 9, false));
    await world.drop({ maxRows: 12 });
    for (const [n, query] of searches.entries()) {
      const archived = { ...query, archive: 'true' };
      const pages = await world.walk(archived, 9, false);
      expect(textsOf(pages), JSON.stringify(query)).toEqual(textsOf(before[n] ?? []));
      const back = [];
      for (let at = pages.at(-1)?.previous; at; at = back.at(-1)?.previous)
        back.push(await world.page(archived, at, 9));
      expect(textsOf(back.reverse()), JSON.stringify(query)).toEqual(textsOf(pages.slice(0, -1)));
    }
  });
});

const textsOf = (pages: readonly { readonly texts: readonly string[] }[]) => pages.flatMap(({ texts }) => texts);

const searches: readonly Query[] = [
  {},
  { actor: 'mira*' },
  { text: 'terraform', before: '2024-02-03' },
  { action: 'delete', result: 'failure' },
  { actor: 'none@example.com' },
];
