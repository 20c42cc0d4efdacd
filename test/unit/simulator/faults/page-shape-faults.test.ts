import { expect, test } from 'vitest';
import type { FaultPatch } from '../../../../src/simulator/faults/fault-plan.ts';
import type { Simulator } from '../../../../src/simulator/interface.ts';
import { auditPage, auditWalk, idsOf, organizationAt, simulate, startMs } from '../simulated-cloudflare.ts';

test.each([20, 73, 100, 250, 997])('page_cap: pages of %i whatever limit says, with cursors or not', async (size) => {
  const { simulator, all } = await shaped(2 * size + 5, { page_cap: { size } });
  const capped = await auditWalk(simulator, { limit: 1000 });
  expect(capped[0]?.texts).toHaveLength(size);
  expect(idsOf(capped)).toEqual(all);
  expect((await auditPage(simulator, { limit: 7 })).texts).toHaveLength(7);
  simulator.faults.set({ page_cap: { size, cursors: 'none' } });
  const alone = await auditPage(simulator, { limit: 1000 });
  expect([idsOf([alone]), alone.cursor, alone.count]).toEqual([all.slice(0, size), undefined, String(size)]);
});

test('page_cap: cursors that are refused', async () => {
  const { simulator } = await shaped(300, { page_cap: { size: 40, cursors: 'refused', refusedWith: 404 } });
  const { cursor } = await auditPage(simulator);
  expect(cursor).toBeDefined();
  expect((await auditPage(simulator, { cursor })).status).toBe(404);
});

test('page_blocks: the newest page first, ascending inside; the direction turns all, nothing, or each', async () => {
  const { simulator, all } = await shaped(35, {});
  const read = async (direction: string): Promise<string[][]> =>
    (await auditWalk(simulator, { limit: 10, direction })).map((page) => idsOf([page]));
  const inTens = (ids: readonly string[]): string[][] => [0, 10, 20, 30].map((from) => ids.slice(from, from + 10));
  const turned = (pages: readonly string[][]): string[][] => pages.map((page) => page.toReversed());
  const newestFirst = inTens(all.toReversed());
  const descending = { mirrored: turned(inTens(all)), ignored: turned(newestFirst), inside: newestFirst };
  for (const direction of ['mirrored', 'ignored', 'inside'] as const) {
    simulator.faults.set({ page_blocks: { direction } });
    expect(await read('asc')).toEqual(turned(newestFirst));
    expect(await read('desc')).toEqual(descending[direction]);
  }
});

test('page_blocks: the cursor of the first page is refused, or is missing', async () => {
  const { simulator, all } = await shaped(35, { page_blocks: { cursors: 'refused', refusedWith: 410 } });
  const first = await auditPage(simulator, { limit: 10 });
  expect(idsOf([first])).toEqual(all.slice(-10));
  expect((await auditPage(simulator, { limit: 10, cursor: first.cursor })).status).toBe(410);
  simulator.faults.set({ page_blocks: { direction: 'inside', cursors: 'none' } });
  // The newest entries of the window, sorted by direction afterwards.
  const ascending = await auditPage(simulator, { limit: 10 });
  const descending = await auditPage(simulator, { limit: 10, direction: 'desc' });
  expect([idsOf([ascending]), ascending.cursor]).toEqual([all.slice(-10), undefined]);
  expect([idsOf([descending]), descending.cursor]).toEqual([all.slice(-10).toReversed(), undefined]);
});

test.each(['asc', 'desc'])('wrong_order: descending or ascending, though %s was asked for', async (direction) => {
  const { simulator, all } = await shaped(35, { wrong_order: 1 });
  expect(idsOf(await auditWalk(simulator, { limit: 10, direction }))).toEqual(all.toReversed());
  simulator.faults.set({ wrong_order: { order: 'ascending' } });
  expect(idsOf(await auditWalk(simulator, { limit: 10, direction }))).toEqual(all);
});

test('wrong_order: shuffled over all pages, each entry once, in the same order every time', async () => {
  const { simulator, all } = await shaped(350, { wrong_order: { order: 'shuffled' } });
  const ids = idsOf(await auditWalk(simulator, { limit: 20 }));
  expect(ids).not.toEqual(all);
  expect(ids.toSorted()).toEqual(all.toSorted());
  const places = ids.slice(0, 20).map((id) => all.indexOf(id));
  expect(Math.max(...places) - Math.min(...places)).toBeGreaterThan(150);
  expect(idsOf(await auditWalk(simulator, { limit: 50 }))).toEqual(ids);
  simulator.faults.set({ wrong_order: { order: 'shuffled', cursors: 'refused' } });
  const { cursor } = await auditPage(simulator, { limit: 20 });
  expect((await auditPage(simulator, { limit: 20, cursor })).status).toBe(400);
});

test('wrong_count: greater or smaller than the number of elements, on all pages or on one', async () => {
  const { simulator } = await shaped(250, { wrong_count: { by: 401 } });
  const counts = async (): Promise<unknown[]> => (await auditWalk(simulator)).map(({ count }) => count);
  expect(await counts()).toEqual(['501', '501', '451']);
  simulator.faults.set({ wrong_count: { by: -60 } });
  expect(await counts()).toEqual(['40', '40', '0']);
  simulator.faults.set({ wrong_count: { by: -1, onPage: 2 } });
  expect(await counts()).toEqual(['100', '99', '50']);
  simulator.faults.set({ wrong_count: { probability: 0.5 } });
  const some = (await Promise.all(Array.from({ length: 10 }, counts))).flat();
  expect(new Set(some)).toEqual(new Set(['100', '101', '50', '51']));
});

test('poison_page: any page with the entry of this id, and no other', async () => {
  const simulator = await simulate({ entries: 100 });
  const all = idsOf([await auditPage(simulator)]);
  simulator.faults.set({ poison_page: { ids: [all[42] as string] } });
  for (const direction of ['asc', 'desc']) {
    for (const limit of [100, 43, 1]) {
      let page = await auditPage(simulator, { limit, direction });
      while (page.cursor !== undefined) page = await auditPage(simulator, { limit, direction, cursor: page.cursor });
      expect(page.status).toBe(500);
    }
  }
  const truth = [...simulator.truth()];
  const around = truth[42]?.logTimeMs ?? 0;
  const before = await auditWalk(simulator, { before: time(around) });
  const after = await auditWalk(simulator, { since: time(around + 1) });
  expect([...idsOf(before), ...idsOf(after)]).toEqual(all.toSpliced(42, 1));
  expect((await auditPage(simulator, { 'id.not': all[42] })).texts).toHaveLength(99);
  expect(simulator.requests().at(-1)).not.toHaveProperty('wireFault');
});

test('poison_page: the entry at a time, or those of a stretch, with the status that is set', async () => {
  const simulator = await simulate();
  const id = organizationAt(simulator);
  simulator.generate(id, 10, { actionTimeMs: startMs - 10_000, spacingMs: 1000 });
  const statusOf = async (n: number): Promise<number> => {
    const atMs = startMs - 10_000 + n * 1000;
    return (await auditPage(simulator, { since: time(atMs), before: time(atMs + 1000) })).status;
  };
  const bad = async (): Promise<number[]> => {
    const statuses = await Promise.all(Array.from({ length: 10 }, (_, n) => statusOf(n)));
    return statuses.flatMap((status, n) => (status === 200 ? [] : [n, status]));
  };
  simulator.faults.set({ poison_page: { times: [time(startMs - 7000), startMs - 2000], status: 504 } });
  expect(await bad()).toEqual([3, 504, 8, 504]);
  simulator.faults.set({ poison_page: { since: time(startMs - 6000), before: time(startMs - 4000) } });
  expect(await bad()).toEqual([4, 500, 5, 500]);
  simulator.faults.set({ poison_page: null });
  expect(await bad()).toEqual([]);
});

/** A simulator with faults, and the ids of all its entries, ascending, as they are without. */
async function shaped(entries: number, faults: FaultPatch): Promise<{ simulator: Simulator; all: string[] }> {
  const simulator = await simulate({ entries });
  const all = idsOf(await auditWalk(simulator, { limit: 1000 }));
  simulator.faults.set(faults);
  return { simulator, all };
}

const time = (ms: number): string => new Date(ms).toISOString();
