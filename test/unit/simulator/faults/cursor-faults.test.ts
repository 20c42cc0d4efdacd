import { expect, test } from 'vitest';
import type { FaultPatch } from '../../../../src/simulator/faults/fault-plan.ts';
import type { Simulator } from '../../../../src/simulator/interface.ts';
import { auditPage, auditWalk, organizationAt, simulate, startMs } from '../simulated-cloudflare.ts';

test.each([400, 410, 504])('window_limit: %i for a window that is wider, an answer for the others', async (status) => {
  const limit = { maxDays: 30, status };
  const simulator = await simulate({ organizations: 2, entries: 150, faults: { window_limit: limit } });
  const window = { since: '2026-08-01', before: '2026-08-31', limit: 5 };
  expect((await auditPage(simulator, { ...window, before: '2026-08-31T00:00:01Z' })).status).toBe(status);
  const { cursor, status: good } = await auditPage(simulator, window);
  expect([good, (await auditPage(simulator, { ...window, cursor })).status]).toEqual([200, 200]);
  expect(simulator.faults.fired()).toEqual({ window_limit: 1 });
  expect(simulator.requests()[0]).toMatchObject({ status, wireFault: 'window_limit' });
  simulator.faults.set({ window_limit: { ...limit, organizationId: organizationAt(simulator, 1) } });
  expect((await auditPage(simulator)).status).toBe(200);
  expect((await auditPage(simulator, {}, organizationAt(simulator, 1))).status).toBe(status);
});

test('dead_cursor: every one, those of one page, those issued before a moment, or older than a life', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ entries: 450, clock: () => nowMs });
  for (const status of [400, 404, 410, 500]) {
    simulator.faults.set({ dead_cursor: { status } });
    expect(await walkUntilRefused(simulator)).toEqual({ sizes: [100], status });
  }
  simulator.faults.set({ dead_cursor: { onPage: 3, status: 500 } });
  expect(await walkUntilRefused(simulator)).toEqual({ sizes: [100, 100, 100], status: 500 });
  simulator.faults.set({ dead_cursor: null });
  const old = (await auditPage(simulator)).cursor;
  nowMs += 2500;
  simulator.faults.set({ dead_cursor: { issuedBefore: new Date(nowMs).toISOString() } });
  expect((await auditPage(simulator, { cursor: old })).status).toBe(410);
  expect(sizes(await auditWalk(simulator))).toEqual([100, 100, 100, 100, 50]);
  simulator.faults.set({ dead_cursor: { olderThanSeconds: 60 } });
  const { cursor } = await auditPage(simulator);
  nowMs += 60_000;
  expect((await auditPage(simulator, { cursor })).status).toBe(200);
  nowMs += 1;
  expect((await auditPage(simulator, { cursor })).status).toBe(410);
});

test('last_page_dead_cursor: each page has a cursor, and that of the last is refused', async () => {
  const simulator = await simulate({ entries: 250, faults: { last_page_dead_cursor: { status: 404 } } });
  expect(await walkUntilRefused(simulator)).toEqual({ sizes: [100, 100, 50], status: 404 });
  const empty = { since: '2026-12-01', before: '2026-12-02' };
  expect((await auditPage(simulator, empty)).cursor).toBeUndefined();
  simulator.faults.set({ last_page_dead_cursor: { onEmptyPages: true } });
  const { cursor } = await auditPage(simulator, empty);
  expect((await auditPage(simulator, { ...empty, cursor })).status).toBe(400);
});

test.each([1, 2, 3, 30])('cursor_cycle: the cursors repeat after %i', async (pages) => {
  let nowMs = startMs;
  const simulator = await simulate({ entries: 400, clock: () => nowMs, faults: { cursor_cycle: { pages } } });
  const cursors: (string | undefined)[] = [];
  const texts: string[][] = [];
  for (let n = 0; n < 2 * pages + 3; n++) {
    nowMs += 1000;
    const page = await auditPage(simulator, { limit: 10, cursor: cursors.at(-1) });
    cursors.push(page.cursor);
    texts.push(page.texts);
  }
  expect(new Set(cursors).size).toBe(pages);
  expect(cursors.slice(pages)).toEqual(cursors.slice(0, -pages));
  expect(texts.slice(1 + pages)).toEqual(texts.slice(1, -pages));
  expect(new Set(texts.flat()).size).toBe(10 * (1 + pages));
});

test.each<[string, number, FaultPatch, number[]]>([
  ['without faults a full last page has no cursor', 200, {}, [100, 100]],
  [
    'last_page_cursor: an empty page follows the last one, without a cursor',
    150,
    { last_page_cursor: 1 },
    [100, 50, 0],
  ],
  ['empty_middle_page: its fresh cursor goes on', 150, { empty_middle_page: { count: 2 } }, [0, 0, 100, 50]],
  ['full_last_page: a short page before it makes the last page full', 230, { full_last_page: 1 }, [100, 30, 100]],
])('%s', async (_what, entries, faults, expected) => {
  const simulator = await simulate({ entries, faults });
  const pages = await auditWalk(simulator);
  expect(sizes(pages)).toEqual(expected);
  expect(new Set(pages.map(({ cursor }) => cursor)).size).toBe(pages.length);
  const whole = (await auditPage(simulator, { limit: 1000 })).texts;
  expect(pages.flatMap(({ texts }) => texts)).toEqual(whole);
});

test('full_page_no_cursor: a full page ends the walk though there is more', async () => {
  const simulator = await simulate({ entries: 250, faults: { full_page_no_cursor: { count: 1 } } });
  expect(sizes(await auditWalk(simulator))).toEqual([100]);
  expect(sizes(await auditWalk(simulator))).toEqual([100, 100, 50]);
});

test('expired_cursor, repeated_cursor and duplicate_entries, each once', async () => {
  const simulator = await simulate({ entries: 250, faults: { expired_cursor: { count: 1 } } });
  const { status, cursor } = await auditPage(simulator);
  expect([status, (await auditPage(simulator, { cursor })).status]).toEqual([200, 400]);
  expect((await auditPage(simulator, { cursor })).texts).toHaveLength(100);
  simulator.faults.set({ repeated_cursor: { count: 1 } });
  expect((await auditPage(simulator, { cursor })).cursor).toBe(cursor);
  simulator.faults.set({ duplicate_entries: { count: 1 } });
  const pages = await auditWalk(simulator);
  expect(pages[1]?.texts[0]).toBe(pages[0]?.texts.at(-1));
  expect(sizes(pages)).toEqual([100, 100, 51]);
});

const sizes = (pages: readonly { texts: readonly string[] }[]): number[] => pages.map(({ texts }) => texts.length);

/** The pages of a walk, and the status of the one that could not be read. */
async function walkUntilRefused(simulator: Simulator): Promise<{ sizes: number[]; status: number }> {
  const seen: number[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await auditPage(simulator, { cursor });
    if (page.status === 200) seen.push(page.texts.length);
    cursor = page.cursor;
    if (cursor === undefined) return { sizes: seen, status: page.status };
  }
}
