import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { witnessAt } from '../../../src/evidence/anchors/open-anchors.ts';
import { keyOfLog } from '../../../src/evidence/notes/checkpoint.ts';
import { parseNote, verifyNote } from '../../../src/evidence/notes/signed-note.ts';
import { openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { type Litewitness, missingLitewitness, startLitewitness } from '../../support/evidence/anchors/litewitness.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';

if (missingLitewitness !== undefined) console.warn(`No other witness than that of the tests: ${missingLitewitness}.`);

describe.skipIf(missingLitewitness !== undefined)('litewitness', () => {
  let witness: Litewitness;
  let origin: string;
  const world = worldOfEachTest(() => world.build());
  beforeEach(async () => {
    const { rows } = await world.pool.query<{ origin: string }>(
      `select base || '/' || feed_id || '.' || number as origin from evidence_log`,
    );
    origin = rows[0]?.origin ?? '';
    witness = await startLitewitness(rows.map(({ origin }) => keyOfLog(origin, world.signer.publicKey)));
  });
  afterEach(() => witness?.[Symbol.asyncDispose]());

  const open = () => {
    const { url, key } = witness;
    const anchor = witnessAt({ name: 'witness:litewitness', url, key, intervalMs: 10 });
    return openAnchoringBuilder(world.pool, world.signer, [anchor], 'host/1/x');
  };
  const sizeSeen = async () => (await witness.sizes())[origin];

  test('cosigns each checkpoint by our proof, also after a restart; a bundle with its line holds for both verifiers', async () => {
    const builder = open();
    for (const count of [1, 6, 300, 1_000]) {
      await world.addEvents(count, `of ${count}`);
      await builder.build();
      await builder.anchor();
      if (count === 6) await witness.restart();
    }
    expect(builder.failures).toEqual([]);
    expect(await sizeSeen()).toBe(1_309);
    const { folder, ...exported } = await world.export({ witnesses: [witness.key] });
    expect(exported.anchors.map(({ size }) => size)).toEqual([1_309]);
    const cosigned = parseNote(readFileSync(join(folder, 'anchors/1-1309')));
    expect(verifyNote(cosigned, [witness.key]).signers[0]?.atSeconds).toBeGreaterThan(1_700_000_000);
    await judgedSound(folder);
  });

  test('refuses a log that went back, and one that was rewritten to the same size or beyond: it is said', async () => {
    const builder = open();
    await world.addEvents(50, 'first');
    await builder.build();
    const rewind = await rememberForRewind(world.pool);
    await world.addEvents(50, 'second');
    await builder.build();
    await builder.anchor();
    expect(builder.failures).toEqual([]);
    await rewind();
    const behind = open();
    await behind.anchor();
    expect(behind.failures).toEqual(['the witness has a checkpoint of 102 leaves, and here are 52']);
    for (const [size, more] of [
      [100, 50],
      [140, 40],
    ] as const) {
      await world.addEvents(more, `other ${size}`);
      await world.pool.query('update evidence_log set lease_until = null');
      const rewritten = open();
      await rewritten.build();
      await rewritten.anchor();
      expect(rewritten.failures).toEqual(['the witness has another history: bad consistency proof']);
    }
    expect((await world.status()).anchors).toMatchObject([{ size: null }]);
    expect(await sizeSeen()).toBe(102);
  });
});
