import { expect, test } from 'vitest';
import { auditPage, auditWalk, organizationAt, sha256, simulate, startMs } from '../simulated-cloudflare.ts';

const timesOf = (result: { action: { time: string } }[]): number[] =>
  result.map(({ action }) => Date.parse(action.time));

test('late: an entry becomes visible between half of lateDelayMs and all of it after its time', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ clock: () => nowMs, faults: { late: 1, lateDelayMs: 10_000 } });
  simulator.generate(organizationAt(simulator), 50);
  const visible = async (): Promise<number> => (await auditPage(simulator)).texts.length;
  expect([await visible(), [...simulator.truth()].length, [...simulator.truth({ all: true })].length]).toEqual([
    0, 0, 50,
  ]);
  nowMs = startMs + 4999;
  expect(await visible()).toBe(0);
  nowMs = startMs + 7500;
  const some = await visible();
  expect(some).toBeGreaterThan(5);
  expect(some).toBeLessThan(45);
  expect([...simulator.truth()]).toHaveLength(some);
  expect(simulator.summary().organizations[0]).toMatchObject({ entries: 50, invisible: 50 - some });
  nowMs = startMs + 10_000;
  expect(await visible()).toBe(50);
});

test('late, in the history: only its last stretch can still be invisible', async () => {
  const simulator = await simulate({ entries: 100, historyMs: 100_000, faults: { late: 1, lateDelayMs: 20_000 } });
  const seen = (await auditPage(simulator, { limit: 1000 })).texts.length;
  expect(simulator.summary().organizations[0]).toMatchObject({ entries: 100, invisible: 100 - seen });
  expect(seen).toBeGreaterThan(75);
  expect(seen).toBeLessThan(95);
});

test('equal_timestamps: runs of one time go over page edges', async () => {
  const simulator = await simulate({ entries: 300, faults: { equal_timestamps: 0.95 } });
  const pages = await auditWalk(simulator, { limit: 10 });
  const edges = pages.slice(1).map((page, n) => {
    const [first] = timesOf(page.result);
    return first === timesOf(pages[n]?.result ?? []).at(-1);
  });
  expect(edges.filter((isEqual) => isEqual).length).toBeGreaterThan(20);
  expect(pages.flatMap(({ texts }) => texts)).toHaveLength(300);
});

test('out_of_order: an entry stands behind later ones, over page edges, once', async () => {
  const simulator = await simulate({ entries: 300, faults: { out_of_order: 0.1 } });
  for (const direction of ['asc', 'desc']) {
    const pages = await auditWalk(simulator, { limit: 10, direction });
    expect(new Set(pages.flatMap(({ texts }) => texts)).size).toBe(300);
    const sign = direction === 'asc' ? 1 : -1;
    const times = pages.map(({ result }) => timesOf(result).map((time) => sign * time));
    const crossings = times.slice(1).filter((page, n) => Math.min(...page) < Math.max(...(times[n] ?? [])));
    expect(crossings.length).toBeGreaterThan(3);
  }
  const part = await auditWalk(simulator, { since: '2026-07-20', before: '2026-08-20', limit: 10 });
  const times = part.flatMap(({ result }) => timesOf(result));
  const expected = [...simulator.truth()].filter(
    ({ logTimeMs }) => logTimeMs >= Date.UTC(2026, 6, 20) && logTimeMs < Date.UTC(2026, 7, 20),
  );
  expect([...times].sort()).toEqual(expected.map(({ logTimeMs }) => logTimeMs).sort());
});

test('unknown_enums: values that no document has', async () => {
  const known: Record<string, string[]> = {
    'actor.context': ['api_key', 'api_token', 'dash', 'oauth', 'origin_ca_key'],
    'actor.type': ['cloudflare_admin', 'system', 'user'],
    'action.type': ['create', 'delete', 'view', 'update'],
    'action.result': ['success', 'failure'],
  };
  const strange = async (probability: number): Promise<string[]> => {
    const simulator = await simulate({ entries: 200, faults: { unknown_enums: probability } });
    const { result } = await auditPage(simulator, { limit: 1000 });
    return Object.entries(known).flatMap(([place, values]) => {
      const [outer = '', inner = ''] = place.split('.');
      return result.some((one) => !values.includes(one[outer][inner])) ? [place] : [];
    });
  };
  expect(await strange(0)).toEqual([]);
  expect(await strange(1)).toEqual(Object.keys(known));
});

test('cf_rayid: the older name of the Ray id', async () => {
  const simulator = await simulate({ entries: 200, faults: { cf_rayid: 0.5 } });
  const { result } = await auditPage(simulator, { limit: 1000 });
  const older = result.filter(({ raw }) => 'cf_rayid' in raw && !('cf_ray_id' in raw)).length;
  expect(older).toBeGreaterThan(60);
  expect(result.filter(({ raw }) => 'cf_ray_id' in raw && !('cf_rayid' in raw)).length).toBe(200 - older);
});

test('changed_content: the second time, the same id has other content; the truth is what was first', async () => {
  const simulator = await simulate({ entries: 20 });
  const first = await auditPage(simulator);
  simulator.faults.set({ changed_content: { count: 1 } });
  const second = await auditPage(simulator);
  const changed = second.texts.filter((text, n) => text !== first.texts[n]);
  expect(changed).toHaveLength(1);
  expect(second.result.map(({ id }) => id)).toEqual(first.result.map(({ id }) => id));
  expect((await auditPage(simulator)).texts).toEqual(second.texts);
  const truth = [...simulator.truth()];
  expect(truth.map(({ sha256: sum }) => sum)).toEqual(first.texts.map(sha256));
  expect(truth.flatMap(({ changes }) => changes)).toEqual(changed.map(sha256));
});

test('changed_content never changes what has not been delivered', async () => {
  const simulator = await simulate({ entries: 20, faults: { changed_content: 1, cut_body: { count: 1 } } });
  await expect(auditPage(simulator)).rejects.toThrow();
  const { texts } = await auditPage(simulator);
  expect(texts.map(sha256)).toEqual([...simulator.truth()].map(({ sha256: sum }) => sum));
  expect(simulator.faults.fired().changed_content).toBeUndefined();
});
