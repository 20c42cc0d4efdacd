import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { witnessAt } from '../../../src/evidence/anchors/open-anchors.ts';
import { timeStampsOf } from '../../../src/evidence/anchors/time-stamps.ts';
import { keyOfLog } from '../../../src/evidence/builder/signing-keys.ts';
import { type ExportedLogs, withSnapshot } from '../../../src/evidence/export/snapshot.sql.ts';
import { parseNote, verifyNote } from '../../../src/evidence/notes/signed-note.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { startWitness } from '../../support/evidence/anchors/test-witness.ts';
import { startAuthority } from '../../support/evidence/anchors/time-stamping-authority.ts';
import { exportTo, judge, unnamedFiles } from '../../support/evidence/bundles/exported-bundle.ts';
import { type EvidenceWorld, judgedSound, worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';

/** Two sources, a changed content, a hold, a month that was dropped; its statement is not signed yet. */
const usual = async (world: EvidenceWorld) => {
  await world.allowDrops();
  await world.build();
  await world.addEvents(300, 'a');
  await world.addEvents(40, 'early', { source: 'b', fromMs: Date.UTC(2025, 0, 5) });
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
    const refused = world.export();
    await expect(refused).rejects.toThrow('a month was dropped, and no signed statement says so');
    const waiting = world.export({ waitMs: 600_000 });
    await world.build();
    expect(await waiting).toMatchObject({ events: 320, report: { faults: [] } });
  });

  test('has all that is stored, and both verifiers say that it holds', async () => {
    for (const isPacked of [false, true]) {
      const { folder, ...exported } = await world.export({ isPacked });
      expect(exported).toMatchObject({ events: 320, logs: { state: 'ok', events: { size: 360 } } });
      const { node, python } = await judgedSound(folder);
      expect(node.claims).toContain('of 360 events 320 are as they were hashed, 40 were dropped as stated');
      expect(python.claims).toContain(
        'Each of the 360 positions is accounted for: 320 with unchanged content, 40 dropped as declared',
      );
      expect(existsSync(join(folder, `events/payload/000000.oev${isPacked ? '.gz' : ''}`))).toBe(true);
      const changes = readFileSync(join(folder, 'changes.ndjson'), 'utf8').split('\n');
      expect(changes).toHaveLength(2);
      expect(JSON.parse(changes[0] ?? '')).toMatchObject({ position: 2, event_id: 'a-1' });
    }
  });

  test('README.txt lists every file, says that it is unanchored, and its commands work', async () => {
    const { folder } = await world.export();
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
    expect(readme).toContain('unanchored');
    expect(readme).toContain('PostgreSQL 1');
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(readme.match(/^[0-9a-f]{64} {2}/gm)).toHaveLength(files.length - 1);
    const verifier = readFileSync(join(folder, 'verify.py'));
    expect(readme).toContain(`${createHash('sha256').update(verifier).digest('hex')}  verify.py`);
    const run = (script: string) => execFileSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
    const [lists, ...signature] =
      /^ {7}(grep -E[\s\S]*?)\n\n[\s\S]*?^ {7}(T=[\s\S]*?)\n\n/m.exec(readme)?.slice(1) ?? [];
    expect(run(lists ?? 'false')).toBe('');
    expect(run(signature.join('\n').replace('mktemp -d', `mktemp -d -p ${world.room.folder}`))).toContain(
      'Verified Successfully',
    );
    expect(run('python3 -B verify.py')).toContain('Result: the evidence holds.');
  });

  test('is interrupted: nothing is left', async () => {
    const interrupt = new AbortController();
    const onWritten = (position: number) => {
      if (position === 200) interrupt.abort(130);
    };
    const observer = { onWritten };
    const before = readdirSync(world.room.folder);
    const exporting = world.export({ signal: interrupt.signal, observer });
    await expect(exporting).rejects.toThrow();
    expect(readdirSync(world.room.folder)).toEqual(before);
  });

  test('gives no bundle of what does not hold, unless that is asked for', async () => {
    const { pool } = world;
    await pool.query(`update audit_events set raw = '{"changed": true}' where position = 5`);
    const before = readdirSync(world.room.folder);
    const exporting = world.export();
    await expect(exporting).rejects.toThrow(
      /what is stored is not what was signed.*\n {2}event 5 is not the one in the tree/,
    );
    await expect(exporting).rejects.toMatchObject({ code: 'evidence_fails', exitCode: 5 });
    expect(readdirSync(world.room.folder)).toEqual(before);
    const { folder, report } = await world.export({ despiteFaults: true });
    expect(report.holds).toBe(false);
    expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toMatch(/DOES NOT HOLD[\s\S]*\n {2}event 5 is not/);
    const { node, python } = await judge(folder);
    expect(node.faults).toEqual(['event 5 is not the one in the tree']);
    expect(python.faults).toEqual(['Position 5: the event is not the one in the tree']);
  });

  test('is of one moment: the builder goes on, and retention waits', async () => {
    const { pool } = world;
    await withSnapshot(pool, {}, async (client, before) => {
      await world.addEvents(50, 'c', { source: 'c' });
      await world.build();
      await pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
      const drop = pool.query(`select orgtrail_drop_month('2026-01-01', '30 days')`);
      await expect(drop).rejects.toThrow('lock timeout');
      expect(before).toMatchObject({ events: { size: 360 }, unstatedDrops: 0 });
      const { rows } = await client.query(
        'select count(*)::integer as events, (select count(*) from evidence_journal)::integer as statements from audit_events',
      );
      expect(rows).toEqual([{ events: 320, statements: (before as ExportedLogs).journal.size }]);
    });
  });
});

describe('a bundle of a log that goes on', () => {
  const world = worldOfAllTests(async () => {
    await world.addEvents(300, 'a');
    await world.build();
    await world.addEvents(20, 'later', { source: 'b' });
  });

  test('of a log that has stopped: its last signed state, and says so', async () => {
    for (const state of ['halted', 'behind', 'forked'] as const) {
      await world.stop(state);
      const { folder, ...exported } = await world.export();
      expect(exported).toMatchObject({ events: 300, logs: { state } });
      const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
      expect(readme).toContain(
        `${state} (by this test). Nothing is signed any more; this is the last signed state. 20 later positions`,
      );
      await judgedSound(folder);
    }
  });

  test('between the two signatures: checkpoints that belong together', async () => {
    await world.pool.query(`update evidence_logs set state = 'ok', state_reason = null`);
    await world.build();
    await world.pool.query(`delete from evidence_checkpoints where log = 'journal' and size > 2`);
    const { folder, logs } = await world.export();
    expect(logs).toMatchObject({ events: { size: 300 }, journal: { size: 2 } });
    await judgedSound(folder);
  });
});

describe('what anchors have', () => {
  const world = worldOfAllTests(async () => {});

  test('says why if there is no log, no checkpoint, or something at the place', async () => {
    const { pool } = world;
    await expect(world.export()).rejects.toThrow('there is no evidence in this database');
    await world.open().builder.open();
    await expect(world.export()).rejects.toThrow('no checkpoint is signed yet');
    const { room, signer } = world;
    const taken = room.next();
    mkdirSync(taken);
    writeFileSync(join(taken, 'file'), '');
    await expect(exportTo(pool, signer, taken)).rejects.toThrow('is not empty');
    await expect(exportTo(pool, signer, join(taken, 'file', 'below'))).rejects.toThrow(/cannot be made \(ENOTDIR\)/);
    expect(readdirSync(room.folder)).toEqual([taken.split('/').at(-1)]);
  });

  test('is in the bundle: checkpoints, cosigned by a witness, and time stamps; both verifiers and the commands still hold', async () => {
    const { pool, signer } = world;
    const directory = mkdtempSync(join(world.room.folder, 'worm-'));
    await using authority = await startAuthority();
    await world.build();
    const { rows } = await pool.query<{ origin: string }>('select origin from evidence_logs');
    await using witness = await startWitness(rows.map(({ origin }) => keyOfLog(origin, signer.publicKey)));
    const builder = openAnchoringBuilder(pool, signer, [
      directoryAnchor(directory),
      witnessAt({ name: 'witness:test', url: witness.url, key: witness.key, intervalMs: 10 }),
      timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs: 10 }),
    ]);
    await world.addEvents(300, 'a');
    await builder.build();
    await builder.anchor();
    await world.addEvents(300, 'more');
    await builder.build();
    const { folder, anchored } = await world.export({ witnesses: [{ name: 'w1', key: witness.key }] });
    expect(anchored.map(({ size }) => size)).toEqual([300, null, 300]);
    const { node } = await judgedSound(folder);
    expect(node.claims).toContain('the first 300 leaves of');
    expect(readdirSync(join(folder, 'anchors'))).toEqual(['1-events', '1-journal', '3-events', '3-journal']);
    const cosigned = readFileSync(join(folder, 'anchors/3-events'));
    expect(verifyNote(parseNote(cosigned), [witness.key]).signers).toHaveLength(1);
    const [stamped = '', token = ''] = readdirSync(join(folder, 'timestamps'));
    const read = (name: string) => readFileSync(join(folder, 'timestamps', name));
    expect(await authority.verifies(read(token), read(stamped))).toBe(true);
    const verified = execFileSync('python3', ['-B', 'verify.py', '--tsa-ca', authority.certificateFile], {
      cwd: folder,
    });
    expect(verified.toString()).not.toContain('needs --tsa-ca');
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
    expect(readme).toContain('3. witness:test: 300 events');
    expect(readme).toMatch(/1\. file:.*\n.*you cannot fetch from it\. .* events\/checkpoints\/0{17}300$/m);
    expect(unnamedFiles(folder)).toEqual([]);
  });
});
