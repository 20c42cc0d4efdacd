import { expect, test } from 'vitest';
import { type DefectName, defectNames } from '../../../../src/simulator/entries/entry-defects.ts';
import { auditPage, auditWalk, organizationAt, sha256, simulate } from '../simulated-cloudflare.ts';

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
  const times = pages.map(({ result }) => timesOf(result));
  const equalEdges = times.slice(1).filter(([first], n) => first === times[n]?.at(-1));
  expect(equalEdges.length).toBeGreaterThan(20);
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
  const truth = [...simulator.truth()].map(({ logTimeMs }) => logTimeMs);
  const [fromMs, toMs] = [Date.UTC(2026, 6, 20), Date.UTC(2026, 7, 20)];
  expect(times.toSorted()).toEqual(truth.filter((time) => time >= fromMs && time < toMs).toSorted());
});

test('changed_content never changes what has not been delivered', async () => {
  const simulator = await simulate({ entries: 20, faults: { changed_content: 1, cut_body: { count: 1 } } });
  await expect(auditPage(simulator)).rejects.toThrow();
  const { texts } = await auditPage(simulator);
  expect(texts.map(sha256)).toEqual([...simulator.truth()].map(({ sha256: sum }) => sum));
  expect(simulator.faults.fired().changed_content).toBeUndefined();
});

interface Seen {
  readonly texts: string[];
  // biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
  readonly result: any[];
  readonly ids: (string | null)[];
  readonly actionTimes: (string | null)[];
}

const entries = 12;

const looksAsNamed: Record<DefectName, (seen: Seen) => boolean> = {
  no_id: ({ result, ids }) => result.every((one) => !('id' in one)) && areNull(ids),
  empty_id: ({ result, ids }) => result.every(({ id }) => id === '') && areNull(ids),
  numeric_id: ({ result, ids }) => result.every(({ id }) => typeof id === 'number') && areNull(ids),
  no_action: ({ result, actionTimes }) => result.every((one) => !('action' in one)) && areNull(actionTimes),
  no_time: ({ result }) => result.every(({ action }) => action.type !== undefined && !('time' in action)),
  invalid_time: ({ result, actionTimes }) =>
    result.every(({ action }) => Number.isNaN(Date.parse(action.time))) && areNull(actionTimes),
  numeric_time: ({ result }) => result.every(({ action }) => typeof action.time === 'number'),
  nul: ({ texts, result, ids }) => {
    const places = ['action', 'raw', 'resource', 'actor'].filter((place) =>
      result.some((one) => JSON.stringify(one[place]).includes('\\u0000')),
    );
    return texts.every((text) => text.includes('\\u0000')) && places.length === 4 && !ids.includes(null);
  },
  nul_in_id: ({ result, ids }) => result.every(({ id }) => id.includes('\u0000')) && areNull(ids),
  lone_surrogate: ({ texts, result }) =>
    texts.every((text) => /\\ud83d|\\uDE00/.test(text)) &&
    result.every((one) => !Object.values(flat(one)).every((text) => text.isWellFormed())),
  string_entry: ({ result }) => result.every((one) => typeof one === 'string'),
  number_entry: ({ result }) => result.every((one) => typeof one === 'number'),
  // There can be one `null` only, or texts were not unique.
  null_entry: ({ result }) => result.filter((one) => one === null).length === 1,
  array_entry: ({ result }) => result.every((one) => Array.isArray(one)),
  huge_integer: ({ texts }) => texts.every((text) => text.includes(':12345678901234567890,')),
  huge_number: ({ texts }) => texts.every((text) => text.includes(':1e200000}')),
  duplicate_keys: ({ texts, result }) =>
    texts.every((text) => (text.match(/"description":/g) ?? []).length >= 2 && /"a":1,"b":2,"a":\d/.test(text)) &&
    result.every(({ action }) => action.description !== 'an earlier value'),
  odd_text: ({ texts, result, ids }) =>
    texts.every((text) => JSON.stringify(JSON.parse(text)) !== text && text.startsWith('{ "resource"')) &&
    result.every(({ id }) => /^[0-9a-f]{32}$/.test(id.replaceAll('-', ''))) &&
    result.every(({ note, action }) => note.includes('😀 😀') && action.type !== undefined) &&
    !ids.includes(null),
  deep_nesting: ({ texts }) => texts.every((text) => text.includes('['.repeat(2000))),
  long_id: ({ ids }) => ids.every((id) => id?.length === 5000) && new Set(ids).size === entries,
  large_entry: ({ texts }) => texts.filter((text) => text.length > 1_048_576).length === 3,
  string_scope: ({ result }) => result.every(({ resource }) => resource.scope === 'memberships'),
  array_response: ({ result }) => result.every(({ resource }) => Array.isArray(resource.response)),
};

test.each(defectNames)('%s looks as its name says, byte for byte as the truth has it', async (defect) => {
  const simulator = await simulate({ entries, faults: { defectRate: 1, defects: [defect] } });
  const pages = await auditWalk(simulator, { limit: 5 });
  const truth = [...simulator.truth()];
  const texts = pages.flatMap((page) => page.texts);
  expect(texts.map(sha256)).toEqual(truth.map((one) => one.sha256));
  expect(texts).toEqual(truth.map((one) => one.raw()));
  expect(new Set(texts).size).toBe(entries);
  const [ids, actionTimes] = [truth.map(({ id }) => id), truth.map(({ actionTime }) => actionTime)];
  const result = pages.flatMap((page) => page.result);
  expect(looksAsNamed[defect]({ texts, result, ids, actionTimes })).toBe(true);
});

test('defects come at their rate, in turn, among ordinary entries', async () => {
  const faults = { defectRate: 0.02, defects: ['string_entry', 'array_entry'] } as const;
  const simulator = await simulate({ entries: 5000, faults });
  const result = (await auditWalk(simulator, { limit: 1000 })).flatMap((page) => page.result);
  const strings = result.filter((one) => typeof one === 'string').length;
  const arrays = result.filter((one) => Array.isArray(one)).length;
  expect(strings + arrays).toBeGreaterThan(70);
  expect(strings + arrays).toBeLessThan(130);
  expect(Math.abs(strings - arrays)).toBeLessThanOrEqual(1);
});

test('what is appended while running gets defects, too', async () => {
  const simulator = await simulate();
  simulator.faults.set({ defectRate: 1, defects: ['numeric_id'] });
  simulator.generate(organizationAt(simulator), 3);
  expect((await auditPage(simulator)).result.map(({ id }) => typeof id)).toEqual(['number', 'number', 'number']);
});

const timesOf = (result: { action: { time: string } }[]): number[] =>
  result.map(({ action }) => Date.parse(action.time));

const areNull = (values: readonly unknown[]): boolean => values.every((value) => value === null);

function flat(value: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) =>
      typeof part === 'object' && part !== null ? Object.entries(flat(part)) : [[key, String(part)]],
    ),
  );
}
