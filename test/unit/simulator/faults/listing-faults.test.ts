import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/interface.ts';
import { auditPage, listingOf, organizationAt, simulate, startMs } from '../simulated-cloudflare.ts';

test.each([1, 2, 3])('broken_listing_page: page %i always answers 500, the ones before it do not', async (number) => {
  const simulator = await simulate({ organizations: 12, faults: { broken_listing_page: { page: number } } });
  const seen = await pages(simulator);
  expect(seen.map(({ status }) => status)).toEqual([...Array(number - 1).fill(200), 500]);
  expect((await page(simulator, seen.at(-2)?.token)).status).toBe(500);
  expect(simulator.faults.fired()).toEqual({ broken_listing_page: 2 });
});

test('empty_listing: 200 without organizations; total_size admits to nothing, or to all', async () => {
  const simulator = await simulate({ organizations: 3, faults: { empty_listing: 1 } });
  expect(await page(simulator)).toEqual({ status: 200, places: [], token: undefined, total: 0 });
  simulator.faults.set({ empty_listing: { countsAll: true } });
  expect(await page(simulator)).toMatchObject({ places: [], total: 3 });
  expect((await auditPage(simulator)).status).toBe(200);
});

test('partial_listing: the named ones, the first ones, or a share are missing, for as long as it is set', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ organizations: 12, clock: () => nowMs });
  const organizationIds = [1, 6].map((n) => organizationAt(simulator, n));
  simulator.faults.set({ partial_listing: { organizationIds, forSeconds: 60 } });
  const named = await pages(simulator);
  expect(placesOf(named)).toEqual(upTo(12).filter((n) => n !== 1 && n !== 6));
  expect(named[0]).toMatchObject({ places: [0, 2, 3, 4, 5], total: 10 });
  nowMs += 60_000;
  expect(placesOf(await pages(simulator))).toEqual(upTo(12));
  simulator.faults.set({ partial_listing: { firstOrganizations: 4, countsAll: true } });
  expect((await pages(simulator))[0]).toMatchObject({ places: [4, 5, 6, 7, 8], total: 12 });
  simulator.faults.set({ partial_listing: 0.5 });
  const share = placesOf(await pages(simulator));
  expect(share.length).toBeGreaterThan(1);
  expect(share.length).toBeLessThan(11);
  expect(placesOf(await pages(simulator))).toEqual(share);
});

test('shifting_listing: organizations fall between two pages, or stand on both', async () => {
  const simulator = await simulate({ organizations: 12, faults: { shifting_listing: { by: 2 } } });
  expect((await pages(simulator)).map(({ places }) => places)).toEqual([upTo(5), [7, 8, 9, 10, 11]]);
  simulator.faults.set({ shifting_listing: { by: -1, count: 1 } });
  const twice = placesOf(await pages(simulator));
  expect(twice).toEqual([...upTo(5), ...upTo(12).slice(4)]);
});

test('missing_organization: a page lacks one, once', async () => {
  const simulator = await simulate({ organizations: 12 });
  const whole = await page(simulator);
  simulator.faults.set({ missing_organization: { count: 1 } });
  const missing = (await page(simulator)).places;
  expect(missing).toHaveLength(4);
  expect(upTo(5)).toEqual(expect.arrayContaining(missing));
  expect(await page(simulator)).toEqual(whole);
});

/** A page of five, with the places of its organizations in the order of creation. */
const page = async (simulator: Simulator, after?: string) => {
  const more = after === undefined ? '' : `&page_token=${encodeURIComponent(after)}`;
  const { status, ids, token, total } = await listingOf(simulator, `/organizations?page_size=5${more}`);
  const all = simulator.summary().organizations.map(({ id }) => id);
  return { status, places: ids.map((id) => all.indexOf(id)), token, total };
};

type Page = Awaited<ReturnType<typeof page>>;

async function pages(simulator: Simulator): Promise<Page[]> {
  const seen = [await page(simulator)];
  for (let token = seen[0]?.token; token !== undefined; token = seen.at(-1)?.token) {
    seen.push(await page(simulator, token));
  }
  return seen;
}

const placesOf = (seen: readonly Page[]): number[] => seen.flatMap(({ places }) => places);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
