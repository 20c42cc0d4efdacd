import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/interface.ts';
import { until } from '../../../support/process/until.ts';
import { auditPath, elementTexts, get, sha256 } from '../simulated-cloudflare.ts';
import { accountPath, simulateAccounts } from './simulated-accounts.ts';

test('with all faults on, a client that tries again ends with exactly the truth of every log', async () => {
  const seed = 1;
  const simulator = await simulateAccounts({ seed, entries: 2000, accountEntries: 3000, faults: 'all' });
  simulator.faults.set({ slowBodyMs: 5 });
  const truth = Map.groupBy(simulator.truth({ all: true }), ({ sourceKind, sourceId }) => `${sourceKind} ${sourceId}`);
  expect(truth.size).toBe(3 + 11);
  for (const [source, entries] of truth) {
    const [kind, id = ''] = source.split(' ');
    const path = kind === 'account' ? accountPath(id) : auditPath(id, { limit: 1000 });
    const seen = await readAll(simulator, path.replace('limit=1000', 'limit=50'));
    expect([...seen].sort(), `seed ${seed}, ${source}`).toEqual(entries.map((entry) => entry.sha256).sort());
  }
  const fired = Object.keys(simulator.faults.fired());
  const some = ['server_error', 'duplicate_entries', 'shuffled_page', 'unknown_enums'];
  expect(fired).toEqual(expect.arrayContaining(some));
  expect(fired.length).toBeGreaterThan(7);
});

test('the live stream goes to accounts most of all, to organizations, and to several accounts at once', async () => {
  const fromMs = Date.now();
  const simulator = await simulateAccounts({ entries: 0, liveRate: 400, clock: Date.now });
  await until('there are some', async () => simulator.summary().entries >= 200);
  const truth = [...simulator.truth()];
  for (const { logTimeMs, actionTime } of truth) {
    expect(logTimeMs).toBeGreaterThanOrEqual(fromMs - 1000);
    expect(Date.parse(actionTime ?? '')).toBe(logTimeMs);
  }
  const kinds = Map.groupBy(truth, ({ sourceKind }) => sourceKind);
  expect(kinds.get('account')?.length ?? 0).toBeGreaterThan((kinds.get('organization')?.length ?? 0) * 3);
  expect(kinds.get('organization')?.length ?? 0).toBeGreaterThan(5);
  const ids = kinds.get('account')?.map(({ id }) => id) ?? [];
  expect(new Set(ids).size).toBeLessThan(ids.length);
});

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
