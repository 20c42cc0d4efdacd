import { expect, test } from 'vitest';
import { auditPage, auditWalk, get, simulate } from '../simulated-cloudflare.ts';

test('without faults a full last page has no cursor', async () => {
  const simulator = await simulate({ entries: 200 });
  const pages = await auditWalk(simulator);
  expect(pages.map(({ texts }) => texts.length)).toEqual([100, 100]);
});

test('last_page_cursor: the last page has a cursor, an empty page without one follows', async () => {
  const simulator = await simulate({ entries: 150, faults: { last_page_cursor: 1 } });
  const pages = await auditWalk(simulator);
  expect(pages.map(({ texts }) => texts.length)).toEqual([100, 50, 0]);
});

test('empty_middle_page: an empty page whose fresh cursor goes on', async () => {
  const simulator = await simulate({ entries: 150, faults: { empty_middle_page: { count: 2 } } });
  const whole = (await auditPage(simulator, { limit: 1000 })).texts;
  const pages = await auditWalk(simulator);
  expect(pages.map(({ texts }) => texts.length)).toEqual([0, 0, 100, 50]);
  expect(pages.flatMap(({ texts }) => texts)).toEqual(whole);
  expect(new Set(pages.map(({ cursor }) => cursor)).size).toBe(4);
});

test('full_last_page: a short page before it makes the last page full, without a cursor', async () => {
  const simulator = await simulate({ entries: 230, faults: { full_last_page: 1 } });
  const whole = (await auditPage(simulator, { limit: 1000 })).texts;
  const pages = await auditWalk(simulator);
  expect(pages.map(({ texts }) => texts.length)).toEqual([100, 30, 100]);
  expect(pages.flatMap(({ texts }) => texts)).toEqual(whole);
});

test('full_last_page_bad_cursor: the cursor of a full last page answers 400', async () => {
  const simulator = await simulate({ entries: 200, faults: { full_last_page_bad_cursor: 1 } });
  const first = await auditPage(simulator);
  const last = await auditPage(simulator, { cursor: first.cursor });
  expect(last.texts).toHaveLength(100);
  expect(last.cursor).toBeDefined();
  expect((await auditPage(simulator, { cursor: last.cursor })).status).toBe(400);
  const notFull = await auditWalk(simulator, { limit: 150 });
  expect(notFull.map(({ texts }) => texts.length)).toEqual([150, 50]);
});

test('full_page_no_cursor: a full page ends the walk though there is more', async () => {
  const simulator = await simulate({ entries: 250, faults: { full_page_no_cursor: { count: 1 } } });
  expect((await auditWalk(simulator)).map(({ texts }) => texts.length)).toEqual([100]);
  expect((await auditWalk(simulator)).map(({ texts }) => texts.length)).toEqual([100, 100, 50]);
});

test('expired_cursor: 400, only with a cursor', async () => {
  const simulator = await simulate({ entries: 150, faults: { expired_cursor: { count: 1 } } });
  const { status, cursor } = await auditPage(simulator);
  expect(status).toBe(200);
  expect((await auditPage(simulator, { cursor })).status).toBe(400);
  expect((await auditPage(simulator, { cursor })).texts).toHaveLength(50);
});

test('repeated_cursor: the answer has the cursor it was asked with', async () => {
  const simulator = await simulate({ entries: 250, faults: { repeated_cursor: 1 } });
  const { cursor } = await auditPage(simulator);
  expect((await auditPage(simulator, { cursor })).cursor).toBe(cursor);
});

test('duplicate_entries: the next page begins with the last entry of this one', async () => {
  const simulator = await simulate({ entries: 150, faults: { duplicate_entries: { count: 1 } } });
  const [first, second] = await auditWalk(simulator);
  expect(second?.texts[0]).toBe(first?.texts.at(-1));
  expect(second?.texts).toHaveLength(51);
});

test('shuffled_page: the same entries in another order; the next page goes on as if nothing was', async () => {
  const simulator = await simulate({ entries: 150, faults: { shuffled_page: { count: 1 } } });
  const shuffled = await auditPage(simulator);
  const ordered = await auditPage(simulator);
  expect(shuffled.texts).not.toEqual(ordered.texts);
  expect([...shuffled.texts].sort()).toEqual([...ordered.texts].sort());
  expect(shuffled.cursor).toBe(ordered.cursor);
});

test('listing_403, missing_organization and repeated_page_token', async () => {
  const simulator = await simulate({ organizations: 15, faults: { listing_403: { count: 1 } } });
  const list = async (query = ''): Promise<{ ids: string[]; token: string; total: number }> => {
    const body = JSON.parse((await get(simulator, `/organizations?${query}`)).text);
    const ids = body.result.map(({ id }: { id: string }) => id);
    return { ids, token: body.result_info.next_page_token, total: body.result_info.total_size };
  };
  const refused = await get(simulator, '/organizations');
  expect(refused.status).toBe(403);
  expect(refused.text).toContain('10000');
  expect((await auditPage(simulator)).status).toBe(200);
  const whole = await list();
  simulator.faults.set({ missing_organization: { count: 1 } });
  const missing = await list();
  expect(missing.ids).toHaveLength(9);
  expect(whole.ids).toEqual(expect.arrayContaining(missing.ids));
  expect(await list()).toEqual(whole);
  simulator.faults.set({ repeated_page_token: { count: 1 } });
  const first = await list();
  const again = await list(`page_token=${encodeURIComponent(first.token)}`);
  expect(again.ids).toEqual(first.ids);
  simulator.faults.set({ repeated_page_token: 1 });
  const stuck = await list(`page_token=${encodeURIComponent(first.token)}`);
  expect(stuck.token).toBe(first.token);
});

test('a filter that finds little is answered with short pages, empty ones among them', async () => {
  const simulator = await simulate({ entries: 300, scanLimit: 100 });
  const { result } = await auditPage(simulator, { limit: 1000 });
  const { id } = result[250];
  const pages = await auditWalk(simulator, { limit: 1000, id });
  expect(pages.map(({ texts }) => texts.length)).toEqual([0, 0, 1]);
  expect(new Set(pages.map(({ cursor }) => cursor)).size).toBe(3);
});
