import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newestNote } from '../../support/evidence/builder-world.ts';
import { type EvidenceWorld, judgedSound, worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';

/** Three sources, a changed content, a hold, a month that was dropped; its statement is not signed yet. */
const usual = async (world: EvidenceWorld) => {
  await world.allowDrops();
  await world.build();
  await world.addEvents(300, 'a');
  await world.addEvents(40, 'early', { source: 'b', fromMs: Date.UTC(2025, 0, 5) });
  await world.addEvents(600, 'c', { source: 'c' });
  await world.addEvents(20, 'more');
  const changed = entryText('a-1', T0 + 1_000, { other: 'content' });
  await commit(world.pool, await takeLease(world.pool, 'a'), [changed]);
  await world.pool.query(`insert into holds (reason, created_by, since) values ('case 17', 'J. Doe', '2026-01-01')`);
  await world.build();
  expect(await world.drop('2025-01')).toBeNull();
};

describe('a bundle', () => {
  const world = worldOfAllTests(usual);

  test('waits for the statement of a month that was dropped a moment ago', async () => {
    await expect(world.export()).rejects.toThrow('a month was dropped, and no signed statement says so');
    const waiting = world.export({ waitMs: 600_000 });
    await world.build();
    expect(await waiting).toMatchObject({ events: 920, report: { faults: [] } });
  });

  test.each([false, true])('of everything, packed: %s', async (isPacked) => {
    const { folder, log } = await world.export({ isPacked });
    expect(existsSync(join(folder, `leaves/000000.bin${isPacked ? '.gz' : ''}`))).toBe(true);
    const { node } = await judgedSound(folder, [await newestNote(world.pool)]);
    expect([node.size, node.keptSize, node.verdict]).toEqual([log.size, log.size, 'the evidence holds']);
    expect(node.claims.get('drops')?.join()).toContain('2025-01: 40 events dropped');
  });

  test.each(['a', 'b', 'c'])('of source %s alone, with nothing of others, split at what was kept', async (id) => {
    const kept = {
      name: 'kept',
      note: Buffer.from(
        (await world.pool.query<{ note: string }>('select note from evidence_checkpoints order by size limit 1'))
          .rows[0]?.note ?? '',
      ),
    };
    const { folder, events } = await world.export({ source: { kind: 'organization', id }, kept: [kept] });
    expect(events).toBe({ a: 320, b: 0, c: 600 }[id]);
    const { node } = await judgedSound(folder, [String(kept.note)]);
    expect(node.keptSize).toBeGreaterThan(0);
    const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => /bin|ndjson|json$/.test(path))
      .map((path) => readFileSync(join(folder, path), 'latin1'))
      .join();
    for (const other of ['a', 'b', 'c'].filter((one) => one !== id)) expect(all).not.toContain(`"id":"${other}-`);
  });

  test('of a time, also of one source: others have their leaf alone', async () => {
    const at = (second: number) => new Date(T0 + second * 1_000).toISOString().replace('Z', '000Z');
    for (const source of [undefined, { kind: 'organization', id: 'a' }]) {
      const { folder, events } = await world.export({ since: at(10), before: at(20), source });
      const { node } = await judgedSound(folder);
      expect([events, node.claims.get('leaves')?.join()]).toEqual([
        source === undefined ? 30 : 20,
        expect.stringContaining('without their content'),
      ]);
    }
  });

  test('of a search: its events, and hashes', async () => {
    const positions = [2, 5, 361, 700];
    const { folder, events } = await world.export({ search: { query: 'actor:x', positions } });
    expect(events).toBe(4);
    const { node } = await judgedSound(folder);
    expect(node.subject).toContain('actor:x');
    expect(readFileSync(join(folder, 'leaves/000000.bin')).length).toBeLessThan(6_000);
  });

  test('says what it is, lists every file, and cannot be changed', async () => {
    const { folder } = await world.export();
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(readme.match(/^[0-9a-f]{64} {2}/gm)).toHaveLength(files.length - 1);
    expect(readme.split('\n').slice(0, 10).join('\n')).toContain('Against THE OPERATOR');
  });

  test('is not written if what is stored is not what was signed, or if the folder is not empty', async () => {
    const folder = world.room.next();
    mkdirSync(folder);
    writeFileSync(join(folder, 'x'), '');
    await world.pool.query(`update audit_events set received_at = received_at + interval '1 s' where position = 7`);
    await expect(world.export()).rejects.toThrow('what is stored is not what was signed');
    const written = await world.export({ despiteFaults: true });
    expect(written.report.holds).toBe(false);
    expect(readFileSync(join(written.folder, 'README.txt'), 'utf8')).toContain('DID NOT HOLD');
    await world.pool.query(`update audit_events set received_at = received_at - interval '1 s' where position = 7`);
    expect((await world.export()).report.holds).toBe(true);
  });
});
