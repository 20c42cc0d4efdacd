import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/simulator-interface.ts';
import { until } from '../../../support/process/until.ts';
import { elementTexts, get, sha256 } from '../simulated-cloudflare.ts';
import { accountPath, simulateAccounts } from './simulated-accounts.ts';

/** Walks a log to its end, again and again until one walk met no error; gives the hashes of everything that was served. */
async function readAll(simulator: Simulator, path: string): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let walks = 0; walks < 200; walks++) {
    if (await walk(simulator, path, seen).catch(() => false)) return seen;
  }
  throw new Error('No walk came to its end.');
}

async function walk(simulator: Simulator, path: string, seen: Set<string>): Promise<boolean> {
  const cursors = new Set<string>();
  for (let cursor: string | undefined; ; ) {
    const { status, text } = await get(
      simulator,
      cursor === undefined ? path : `${path}&cursor=${encodeURIComponent(cursor)}`,
    );
    if (status !== 200) return false;
    const body = JSON.parse(text);
    for (const element of elementTexts(text)) seen.add(sha256(element));
    cursor = body.result_info.cursor;
    if (cursor === undefined) return true;
    if (cursors.has(cursor)) return false;
    cursors.add(cursor);
  }
}

test.each([1, 2])(
  'with all faults on, a client that tries again ends with exactly the truth of every account (seed %i)',
  async (seed) => {
    const simulator = await simulateAccounts({ seed, entries: 100, accountEntries: 3000, faults: 'all' });
    simulator.faults.set({ slowBodyMs: 5 });
    const truth = Map.groupBy(simulator.truth({ all: true, kind: 'account' }), ({ sourceId }) => sourceId);
    expect(truth.size).toBe(11);
    for (const [id, entries] of truth) {
      const seen = await readAll(simulator, accountPath(id).replace('limit=1000', 'limit=50'));
      expect([...seen].sort()).toEqual(entries.map((entry) => entry.sha256).sort());
    }
  },
);

test('the same seed and options give the same bytes, whatever they are', async () => {
  const options = fc.record({
    seed: fc.nat(1000),
    organizations: fc.integer({ min: 1, max: 4 }),
    accounts: fc.nat(4),
    standaloneAccounts: fc.integer({ min: 1, max: 3 }),
    zones: fc.nat(3),
    entries: fc.nat(30),
    accountEntries: fc.nat(200),
  });
  await fc.assert(
    fc.asyncProperty(options, async (some) => {
      const texts = async (): Promise<string[]> => {
        const simulator = await simulateAccounts({
          ...some,
          faults: { late: 0.1, defectRate: 0.1, out_of_order: 0.1 },
        });
        const truth = [...simulator.truth({ all: true })];
        const { entries, organizations, accounts } = simulator.summary();
        expect(entries).toBe(some.entries + some.accountEntries);
        expect(truth).toHaveLength(entries);
        expect(accounts).toHaveLength(some.organizations * some.accounts + some.standaloneAccounts);
        for (const { id, accountIds } of organizations) {
          const own = accounts.filter(({ organizationId }) => organizationId === id).map((account) => account.id);
          if (some.accounts > 0) expect(own).toEqual(accountIds);
        }
        await simulator.close();
        return truth.map((entry) => `${entry.sourceKind} ${entry.sourceId} ${entry.raw()}`);
      };
      expect(await texts()).toEqual(await texts());
    }),
    { seed: 11, numRuns: 25 },
  );
});

test('the live stream goes to accounts most of all, to organizations, and to several accounts at once', async () => {
  const simulator = await simulateAccounts({ entries: 0, liveRate: 400, clock: Date.now });
  await until('there are some', async () => simulator.summary().entries >= 200);
  const truth = [...simulator.truth()];
  const kinds = Map.groupBy(truth, ({ sourceKind }) => sourceKind);
  expect(kinds.get('account')?.length ?? 0).toBeGreaterThan((kinds.get('organization')?.length ?? 0) * 3);
  expect(kinds.get('organization')?.length ?? 0).toBeGreaterThan(5);
  const ids = kinds.get('account')?.map(({ id }) => id) ?? [];
  expect(new Set(ids).size).toBeLessThan(ids.length);
});
