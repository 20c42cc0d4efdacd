import { expect, test } from 'vitest';
import { type DefectName, defectNames } from '../../../../src/simulator/faults/entry-defects.ts';
import { auditPage, auditWalk, sha256, simulate } from '../simulated-cloudflare.ts';

interface Seen {
  readonly texts: string[];
  // biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
  readonly result: any[];
  readonly ids: (string | null)[];
  readonly actionTimes: (string | null)[];
}

const entries = 12;

/** Entries that all have one defect, as a client reads them. */
async function allWith(defect: DefectName): Promise<Seen> {
  const simulator = await simulate({ entries, faults: { defectRate: 1, defects: [defect] } });
  const pages = await auditWalk(simulator, { limit: 5 });
  const truth = [...simulator.truth()];
  const texts = pages.flatMap((page) => page.texts);
  expect(texts.map(sha256)).toEqual(truth.map((one) => one.sha256));
  expect(texts).toEqual(truth.map((one) => one.raw()));
  expect(new Set(texts).size).toBe(entries);
  return {
    texts,
    result: pages.flatMap((page) => page.result),
    ids: truth.map(({ id }) => id),
    actionTimes: truth.map(({ actionTime }) => actionTime),
  };
}

const hasString = (text: string, part: string): boolean => text.includes(part);

const looksAsNamed: Record<DefectName, (seen: Seen) => boolean> = {
  no_id: ({ result, ids }) => result.every((one) => !('id' in one)) && ids.every((id) => id === null),
  empty_id: ({ result, ids }) => result.every(({ id }) => id === '') && ids.every((id) => id === null),
  numeric_id: ({ result, ids }) => result.every(({ id }) => typeof id === 'number') && ids.every((id) => id === null),
  no_action: ({ result, actionTimes }) =>
    result.every((one) => !('action' in one)) && actionTimes.every((t) => t === null),
  no_time: ({ result }) => result.every(({ action }) => action.type !== undefined && !('time' in action)),
  invalid_time: ({ result, actionTimes }) =>
    result.every(({ action }) => Number.isNaN(Date.parse(action.time))) && actionTimes.every((t) => t === null),
  numeric_time: ({ result }) => result.every(({ action }) => typeof action.time === 'number'),
  nul: ({ texts, result, ids }) => {
    const places = ['action', 'raw', 'resource', 'actor'].filter((place) =>
      result.some((one) => JSON.stringify(one[place]).includes('\\u0000')),
    );
    return texts.every((text) => hasString(text, '\\u0000')) && places.length === 4 && ids.every((id) => id !== null);
  },
  nul_in_id: ({ result, ids }) => result.every(({ id }) => id.includes('\u0000')) && ids.every((id) => id === null),
  lone_surrogate: ({ texts, result }) =>
    texts.every((text) => /\\ud83d|\\uDE00/.test(text)) &&
    result.every((one) => !Object.values(flat(one)).every((text) => text.isWellFormed())),
  string_entry: ({ result }) => result.every((one) => typeof one === 'string'),
  number_entry: ({ result }) => result.every((one) => typeof one === 'number'),
  // There can be one `null` only, or texts were not unique.
  null_entry: ({ result }) => result.filter((one) => one === null).length === 1,
  array_entry: ({ result }) => result.every((one) => Array.isArray(one)),
  huge_integer: ({ texts }) => texts.every((text) => hasString(text, ':12345678901234567890,')),
  huge_number: ({ texts }) => texts.every((text) => hasString(text, ':1e200000}')),
  duplicate_keys: ({ texts, result }) =>
    texts.every((text) => (text.match(/"description":/g) ?? []).length >= 2 && /"a":1,"b":2,"a":\d/.test(text)) &&
    result.every(({ action }) => action.description !== 'an earlier value'),
  odd_text: ({ texts, result, ids }) =>
    texts.every((text) => JSON.stringify(JSON.parse(text)) !== text && text.startsWith('{ "resource"')) &&
    result.every(
      ({ id, note, action }) =>
        /^[0-9a-f]{32}$/.test(id.replaceAll('-', '')) && note.includes('😀 😀') && action.type !== undefined,
    ) &&
    ids.every((id) => id !== null),
  deep_nesting: ({ texts }) => texts.every((text) => hasString(text, '['.repeat(2000))),
  long_id: ({ ids }) => ids.every((id) => id?.length === 5000) && new Set(ids).size === entries,
  large_entry: ({ texts }) => texts.filter((text) => text.length > 1_048_576).length === 3,
  string_scope: ({ result }) => result.every(({ resource }) => resource.scope === 'memberships'),
  array_response: ({ result }) => result.every(({ resource }) => Array.isArray(resource.response)),
};

function flat(value: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) =>
      typeof part === 'object' && part !== null ? Object.entries(flat(part)) : [[key, String(part)]],
    ),
  );
}

test.each(defectNames)('%s looks as its name says, byte for byte as the truth has it', async (defect) => {
  expect(looksAsNamed[defect](await allWith(defect))).toBe(true);
});

test('defects come at their rate, in turn, among ordinary entries', async () => {
  const simulator = await simulate({
    entries: 5000,
    faults: { defectRate: 0.02, defects: ['string_entry', 'array_entry'] },
  });
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
  const { id: organizationId = '' } = simulator.summary().organizations[0] ?? {};
  simulator.generate(organizationId, 3);
  expect((await auditPage(simulator)).result.map(({ id }) => typeof id)).toEqual(['number', 'number', 'number']);
});
