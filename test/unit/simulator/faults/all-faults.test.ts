import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/simulator-interface.ts';
import { auditPath, elementTexts, get, organizationAt, sha256, simulate } from '../simulated-cloudflare.ts';

// The plainest client that is right: it reads a log from the start until one walk went through without an error.

async function readWalk(simulator: Simulator, organizationId: string, seen: Set<string>): Promise<boolean> {
  const cursors = new Set<string>();
  for (let cursor: string | undefined; ; ) {
    const { status, text } = await get(simulator, auditPath(organizationId, { cursor, limit: 50 }));
    if (status !== 200) return false;
    const body = JSON.parse(text);
    for (const element of elementTexts(text)) seen.add(sha256(element));
    cursor = body.result_info.cursor;
    if (cursor === undefined) return true;
    if (cursors.has(cursor)) return false;
    cursors.add(cursor);
  }
}

test.each([1, 2, 3])(
  'with all faults on, a client that tries again ends with exactly the truth (seed %i)',
  async (seed) => {
    const simulator = await simulate({ organizations: 6, entries: 6000, seed, faults: 'all' });
    simulator.faults.set({ slowBodyMs: 5 });
    const truth = [...simulator.truth({ all: true })];
    for (let n = 0; n < 6; n++) {
      const organizationId = organizationAt(simulator, n);
      const seen = new Set<string>();
      let walks = 0;
      while (!(await readWalk(simulator, organizationId, seen).catch(() => false))) {
        expect(++walks).toBeLessThan(200);
      }
      const expected = truth.filter((entry) => entry.sourceId === organizationId).map((entry) => entry.sha256);
      expect([...seen].sort()).toEqual(expected.sort());
    }
    const fired = Object.keys(simulator.faults.fired());
    expect(fired).toEqual(
      expect.arrayContaining(['server_error', 'duplicate_entries', 'shuffled_page', 'unknown_enums']),
    );
    expect(fired.length).toBeGreaterThan(7);
  },
);
