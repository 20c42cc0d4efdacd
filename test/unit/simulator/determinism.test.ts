import { expect, test } from 'vitest';
import { defectNames } from '../../../src/simulator/entries/entry-defects.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { auditWalk, get, sha256, simulate } from './simulated-cloudflare.ts';

test('the same seed, options and start give the same bytes; another seed or start does not', async () => {
  const first = await digest();
  expect(await digest()).toBe(first);
  expect(await digest({ seed: 2 })).not.toBe(first);
  expect(await digest({ startMs: Date.UTC(2026, 8, 1) })).not.toBe(first);
});

test('texts are unique within an organization, ids are, and the size is that of life', async () => {
  const faults = { defectRate: 0.2, defects: defectNames.filter((name) => name !== 'large_entry') };
  const simulator = await simulate({ organizations: 3, entries: 6000, faults });
  const truth = [...simulator.truth()];
  expect(truth).toHaveLength(6000);
  expect(new Set(truth.map((entry) => entry.sourceId + entry.sha256)).size).toBe(6000);
  const ids = truth.flatMap((entry) => (entry.id === null ? [] : [entry.sourceId + entry.id]));
  expect(new Set(ids).size).toBe(ids.length);
  const plain = await simulate({ entries: 2000 });
  const lengths = [...plain.truth()].map((entry) => entry.raw().length);
  const average = lengths.reduce((a, b) => a + b, 0) / lengths.length;
  expect(average).toBeGreaterThan(800);
  expect(average).toBeLessThan(1200);
});

test('the history ends at the start and reaches back as far as it should, in the order of time', async () => {
  const simulator = await simulate({ entries: 1000, historyMs: 86_400_000, startMs: Date.UTC(2026, 5, 1) });
  const pages = await auditWalk(simulator, { limit: 1000 });
  const times = pages.flatMap(({ result }) => result.map(({ action }) => Date.parse(action.time)));
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(times[0]).toBeGreaterThanOrEqual(Date.UTC(2026, 4, 31) - 1000);
  expect(times.at(-1)).toBeLessThan(Date.UTC(2026, 5, 1));
});

test('a million entries take megabytes', async () => {
  const before = process.memoryUsage().rss;
  const simulator = await simulate({ organizations: 25, entries: 1_000_000 });
  expect(simulator.summary().entries).toBe(1_000_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1_048_576);
});

const options: SimulatorOptions = {
  organizations: 4,
  accounts: 2,
  standaloneAccounts: 2,
  entries: 2000,
  accountEntries: 1000,
  faults: { late: 0.1, defectRate: 0.05, unknown_enums: 0.1, cf_rayid: 0.1, equal_timestamps: 0.3, out_of_order: 0.02 },
};

async function digest(more: SimulatorOptions = {}): Promise<string> {
  const simulator = await simulate({ ...options, ...more });
  const truth = [...simulator.truth({ all: true })].map(
    (entry) => `${entry.sourceKind} ${entry.sourceId} ${entry.sha256} ${entry.logTimeMs}`,
  );
  return sha256([(await get(simulator, '/organizations?page_size=1000')).text, ...truth].join('\n'));
}
