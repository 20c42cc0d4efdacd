import { expect, test } from 'vitest';
import { auditPage, auditWalk, idsOf, organizationAt, simulate, startMs } from '../simulated-cloudflare.ts';

const time = (ms: number): string => new Date(ms).toISOString();

test('poison_page: any page with the entry of this id, and no other', async () => {
  const simulator = await simulate({ entries: 100 });
  const all = idsOf([await auditPage(simulator)]);
  simulator.faults.set({ poison_page: { ids: [all[42] as string] } });
  for (const direction of ['asc', 'desc']) {
    for (const limit of [100, 43, 1]) expect((await auditWalkStatus(limit, direction)).at(-1)).toBe(500);
  }
  const truth = [...simulator.truth()];
  const around = truth[42]?.logTimeMs ?? 0;
  const before = await auditWalk(simulator, { before: time(around) });
  const after = await auditWalk(simulator, { since: time(around + 1) });
  expect([...idsOf(before), ...idsOf(after)]).toEqual(all.toSpliced(42, 1));
  expect((await auditPage(simulator, { 'id.not': all[42] })).texts).toHaveLength(99);
  expect(simulator.requests().at(-1)).not.toHaveProperty('wireFault');

  async function auditWalkStatus(limit: number, direction: string): Promise<number[]> {
    const statuses: number[] = [];
    for (let cursor: string | undefined; statuses.at(-1) !== 500; ) {
      const page = await auditPage(simulator, { limit, direction, cursor });
      statuses.push(page.status);
      cursor = page.cursor;
      if (cursor === undefined) break;
    }
    return statuses;
  }
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

test('poison_page: a share of all entries, the same ones every time', async () => {
  const simulator = await simulate({ entries: 80, faults: { poison_page: 0.2 } });
  const ids = [...simulator.truth()].map((entry) => entry.id ?? '');
  const poisoned = async (): Promise<string[]> => {
    const statuses = await Promise.all(ids.map(async (id) => (await auditPage(simulator, { id })).status));
    return ids.filter((_, n) => statuses[n] === 500);
  };
  const first = await poisoned();
  expect(first.length).toBeGreaterThan(5);
  expect(first.length).toBeLessThan(40);
  expect(await poisoned()).toEqual(first);
});

test('an entry of any length, that is served and is true', async () => {
  const simulator = await simulate({ entries: 3 });
  const id = organizationAt(simulator);
  const bytes = 5 * 1_048_576 + 1;
  simulator.generate(id, 1, { actionTimeMs: startMs - 1000, bytes });
  const { texts, result } = await auditPage(simulator);
  expect(texts.map((text) => Buffer.byteLength(text)).filter((length) => length > 100_000)).toEqual([bytes]);
  const large = [...simulator.truth()].find(({ logTimeMs }) => logTimeMs === startMs - 1000);
  expect(large?.raw()).toBe(texts.at(-1));
  expect(result.at(-1)).toMatchObject({ id: large?.id, action: { time: large?.actionTime } });
});
