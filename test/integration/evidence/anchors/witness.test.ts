import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { witnessAt } from '../../../../src/evidence/anchors/open-anchors.ts';
import { keyOfLog } from '../../../../src/evidence/notes/checkpoint.ts';
import { parseNote, verifyNote } from '../../../../src/evidence/notes/signed-note.ts';
import { openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { startWitness, type TestWitness } from '../../../support/evidence/anchors/test-witness.ts';
import { worldOfEachTest } from '../../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../../support/evidence/rewind.ts';
import { poolOfTests } from '../../../support/postgres/pool-of-tests.ts';

let witness: TestWitness;
const world = worldOfEachTest(() => world.build());
const pool = poolOfTests(world);
beforeEach(async () => {
  const { rows } = await pool.query<{ origin: string }>(
    `select base || '/' || feed_id || '.' || number as origin from evidence_log`,
  );
  witness = await startWitness(rows.map(({ origin }) => keyOfLog(origin, world.signer.publicKey)));
});
afterEach(() => witness?.[Symbol.asyncDispose]());

describe('a witness', () => {
  test('cosigns each checkpoint, by a proof that it goes on from the last one; its line is kept, and verifies', async () => {
    const builder = open();
    for (const count of [1, 6, 300, 1_000]) {
      await world.addEvents(count, `of ${count}`);
      await builder.build();
      await builder.anchor();
    }
    expect(builder.failures).toEqual([]);
    expect(new Set(witness.statuses)).toEqual(new Set([200]));
    expect(await anchored()).toEqual([
      { anchor: NAME, isConfigured: true, size: 1_309, secondsAgo: expect.any(Number), error: null },
    ]);
    const { rows } = await pool.query<{ note: string; receipt: Buffer }>(
      `select c.note, a.receipt from evidence_anchors a join evidence_checkpoints c using (size) order by size`,
    );
    expect(rows.length).toBeGreaterThanOrEqual(4);
    for (const { note, receipt } of rows) {
      const { signers } = verifyNote(parseNote(Buffer.from(`${note}${receipt}`)), [witness.key]);
      expect(signers[0]?.atSeconds).toBeGreaterThan(1_700_000_000);
    }
  });

  test('that knows more than the database remembers is asked again from there', async () => {
    const builder = open();
    await world.addEvents(50, 'first');
    await builder.build();
    await builder.anchor();
    await pool.query('delete from evidence_anchors');
    await world.addEvents(50, 'second');
    await builder.build();
    await builder.anchor();
    expect(builder.failures).toEqual([]);
    expect(witness.statuses).toContain(409);
    expect((await anchored())[0]).toMatchObject({ size: 102, error: null });
  });

  test('refuses a log that went back, and one that was rewritten: it is said, and nothing is anchored', async () => {
    const builder = open();
    await world.addEvents(50, 'first');
    await builder.build();
    const rewind = await rememberForRewind(pool);
    await world.addEvents(50, 'second');
    await builder.build();
    await builder.anchor();
    await rewind();
    const behind = open();
    await behind.anchor();
    expect(behind.failures).toEqual(['the witness has a checkpoint of 102 leaves, and here are 52']);
    await world.addEvents(90, 'other');
    await pool.query('update evidence_log set lease_until = null');
    const rewritten = open();
    await rewritten.build();
    await rewritten.anchor();
    expect(rewritten.failures).toEqual(['the witness has another history: not consistent']);
    expect(await anchored()).toMatchObject([{ size: null, error: 'the witness has another history: not consistent' }]);
    expect([...witness.seen.values()].map(({ size }) => size)).toEqual([102]);
  });

  test('that answers with another key, or not at all, is a failure', async () => {
    const builder = open();
    await world.addEvents(5, 'first');
    await builder.build();
    const other = await startWitness([]);
    await using _ = other;
    const anchor = (url: string, key = other.key) =>
      openAnchoringBuilder(pool, world.signer, [witnessAt({ name: NAME, url, key, intervalMs: 10 })]);
    const wrongKey = anchor(witness.url);
    await wrongKey.anchor();
    expect(wrongKey.failures).toEqual([`the witness answers without a signature of ${other.key.name}`]);
    const unknown = anchor(other.url);
    await unknown.anchor();
    expect(unknown.failures).toEqual(['HTTP 404 from the witness: unknown origin']);
    const away = anchor('http://127.0.0.1:1');
    await away.anchor();
    expect(away.failures).toHaveLength(1);
  });
});

const NAME = 'witness:test';

const open = () => {
  const { url, key } = witness;
  return openAnchoringBuilder(pool, world.signer, [witnessAt({ name: NAME, url, key, intervalMs: 10 })], 'host/1/x');
};

const anchored = async () => (await world.status()).anchors;
