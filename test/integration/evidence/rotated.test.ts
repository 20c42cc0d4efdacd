import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { forkLog } from '../../../src/evidence/generations/fork-log.ts';
import { createGenerationStore } from '../../../src/evidence/generations/generation-store.sql.ts';
import { readKeyHistory } from '../../../src/evidence/stored/journal-keys.sql.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { BundleRoom, exportTo, judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { orderNewKey } from '../../support/evidence/key-orders.ts';
import { stateOnce } from '../../support/evidence/stated-coverage.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { addSources, commit, entryText, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const [old, fresh] = [newSigner(), newSigner()];
const a = { kind: 'organization', id: 'org-a' } as const;

let database: TestDatabase;
let room: BundleRoom;
beforeEach(async () => {
  database = await createTestDatabase();
  room = new BundleRoom();
  await addSources(database.pool, ['org-a', 'org-b']);
  await database.pool.query('update discovery set server_time = clock_timestamp()');
});
afterEach(async () => {
  room?.[Symbol.dispose]();
  await database?.close();
});

const read = async (source: string, name: string, count: number): Promise<void> => {
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, T0 + index * 1_000));
  await commit(database.pool, await takeLease(database.pool, source), texts, { claims: [seconds(0, 1)] });
};
const newestNotes = async (): Promise<string[]> => {
  const { rows } = await database.pool.query<{ note: string }>(
    'select distinct on (log) note from evidence_checkpoints order by log, generation desc, size desc',
  );
  return rows.map(({ note }) => note);
};
/** Signed by the old key, then by the new one alone. Gives the checkpoints that an auditor kept before. */
const rotated = async (reason: 'rotation' | 'compromised' = 'rotation'): Promise<string[]> => {
  const { pool } = database;
  await read('org-a', 'a', 300);
  await read('org-b', 'b', 300);
  await openBuilder(pool, old, { coverage: stateOnce }).build();
  const kept = await newestNotes();
  await orderNewKey(pool, fresh, reason, reason === 'rotation' ? 1 : 0);
  await openBuilder(pool, old, { nextSigner: fresh, coverage: stateOnce }).build();
  await read('org-a', 'later-a', 40);
  await openBuilder(pool, fresh, { coverage: stateOnce }).build();
  return kept;
};
const keysOf = (folder: string) => readFileSync(join(folder, 'policy.txt'), 'utf8').match(/^log /gm)?.length;

describe('after a rotation', () => {
  test('a bundle of one source holds, names the change, and is compared with a checkpoint of the old key', async () => {
    const kept = await rotated();
    const folder = room.next();
    const anchors = kept.map((note, index) => ({ name: `kept ${index}`, note: Buffer.from(note) }));
    const exported = await exportTo(database.pool, fresh, folder, { source: a, anchors });
    expect(exported).toMatchObject({ events: 340, part: { leaves: 340 } });
    expect(keysOf(folder)).toBe(2);
    expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain('THE KEY OF THE LOG HAS CHANGED');
    const { node, python } = await judge(folder, kept);
    expect([node.faults, python.faults]).toEqual([[], []]);
    expect(node.claims).toMatch(/the first 600 leaves of \S+ are those of anchor/);
    expect(python.claims).toMatch(/which you kept, is a part of this history \(its first 600 leaves\)/);
  });

  test.each(['rotation', 'compromised'] as const)(
    'a fork begins with the new key, names the old one, and is compared with what that one signed: %s',
    async (reason) => {
      const { pool } = database;
      const kept = await rotated(reason);
      await pool.query(`update evidence_logs set state = 'forked', state_reason = 'by this test', lease_until = null`);
      const made = await forkLog({
        store: createEvidenceStore(pool, 'fork', 0),
        generations: createGenerationStore(pool),
        base: 'audit.example.com/evidence',
        publicKey: fresh.publicKey,
        keys: await readKeyHistory(pool, 1),
        version: '0.0.0-test',
        reason: 'restored',
        by: 'J. Doe',
        kept: [],
      });
      expect(made).toMatchObject({ generation: 2, size: 640, common: { size: 640 } });
      await read('org-b', 'later-b', 20);
      await openBuilder(pool, fresh, { coverage: stateOnce }).build();
      const folder = room.next();
      await exportTo(pool, fresh, folder);
      expect(keysOf(folder)).toBe(2);
      const { node, python } = await judge(folder, kept);
      expect([node.faults, python.faults]).toEqual([[], []]);
      expect(node.claims).toMatch(/the first 600 leaves of \S+ are those of anchor/);
      const [fork = ''] = readFileSync(join(folder, 'journal/entries.ndjson'), 'utf8').split('\n');
      const { old_vkeys: earlier, stolen_vkeys: stolen } = JSON.parse(fork) as {
        old_vkeys?: string[];
        stolen_vkeys?: string[];
      };
      expect([earlier?.length, stolen?.length]).toEqual([2, reason === 'rotation' ? undefined : 2]);
    },
  );
});
