import { describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { SignedCheckpoint } from '../../../src/evidence/builder/ports.ts';
import { createGenerationStore } from '../../../src/evidence/generations/end-log.sql.ts';
import { openKnownNote } from '../../../src/evidence/generations/known-checkpoints.ts';
import { Dice } from '../../simulation/dice.ts';
import { BASE, fork } from '../../support/evidence/builder-world.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';

const SEEDS = [1, 2, 3, 4];
const world = worldOfEachTest();

describe('a database that goes back again and again, and is forked each time', () => {
  test.each(SEEDS)('never signs what contradicts what it has given out: seed %i', async (seed) => {
    const { pool } = world;
    const dice = new Dice(seed);
    const signed: SignedCheckpoint[] = [];
    let one = world.open({ chunk: 50 });
    await one.build();
    let rewind = await rememberForRewind(pool);
    for (let round = 0; round < 12; round += 1) {
      await world.addEvents(dice.between(1, 200), `round-${seed}-${round}`, { source: dice.pick(['a', 'b', 'c']) });
      await one.build();
      if (dice.chance(0.3)) rewind = await rememberForRewind(pool);
      if (!dice.chance(0.6)) continue;
      await rewind();
      await pool.query(`update evidence_logs set timeline = 'of a lost server'`);
      await one.build();
      signed.push(...one.signed);
      // A process that knows nothing of before, or one that does.
      one = world.open({ chunk: 50 });
      for (let isForked = false; !isForked; ) {
        try {
          await forkKnown(signed, () => (dice.chance(0.1) ? dice.pick(['before', 'after'] as const) : undefined));
          isForked = true;
        } catch (error) {
          isForked = error instanceof Error && error.message.startsWith('the log is building');
          if (!(error instanceof Crash) && !isForked) throw error;
        }
      }
      await one.build();
    }
    signed.push(...one.signed);
    const rootsOf = (of: readonly SignedCheckpoint[]) =>
      new Set(of.map(({ origin, size, root }) => `${origin} ${size} ${Buffer.from(root).toString('hex')}`)).size;
    expect(rootsOf(signed)).toBe(new Set(signed.map(({ origin, size }) => `${origin} ${size}`)).size);
    const logs = await createEvidenceStore(pool, 'last', 0).readLogs();
    expect(logs?.generation).toBeGreaterThan(2);
    const newest = signed.filter(({ origin }) => [logs?.events.origin, logs?.journal.origin].includes(origin));
    const anchors = newest.map(({ log, size, note }) => ({ name: `${log} ${size}`, note: Buffer.from(note) }));
    const report = await world.verified(anchors);
    expect(report.claims.filter((claim) => claim.includes('leaves of')).length).toBeGreaterThanOrEqual(anchors.length);
  });
});

test('both verifiers hold on the next generation, with drops and holds of before', async () => {
  const { pool } = world;
  await world.allowDrops();
  const { build, signed } = world.open();
  await world.addEvents(300, 'early', { fromMs: Date.UTC(2025, 0, 5) });
  await world.addEvents(200, 'late', { source: 'b' });
  await build();
  expect(await world.drop('2025-01')).toBeNull();
  await build();
  await pool.query(`insert into holds (reason, created_by) values ('case 17', 'J. Doe')`);
  await build();
  await world.stop();
  await forkKnown(signed);
  await world.addEvents(50, 'later', { source: 'c' });
  await build();
  const { folder } = await world.export();
  await judgedSound(folder);
});

/** With all checkpoints that were given out, by a process that may be killed between any two statements. */
const forkKnown = async (
  signed: readonly SignedCheckpoint[],
  crashes: () => 'before' | 'after' | undefined = () => undefined,
) => {
  const { pool, signer } = world;
  const logs = await createEvidenceStore(pool, 'fork', 0).readLogs();
  if (logs === undefined) throw new Error('there is no log');
  const { feedId, generation } = logs;
  const kept = signed
    .filter(({ log, origin }) => log === 'events' && Number(/\.(\d+)\/events$/.exec(origin)?.[1]) >= generation)
    .map(({ note }) => openKnownNote(Buffer.from(note), { base: BASE, feedId, generation }, signer.publicKey));
  return await fork(pool, signer, {
    store: crashingStore(createEvidenceStore(pool, 'fork', 0), crashes),
    generations: crashingStore(createGenerationStore(pool), crashes),
    kept,
    tilesAtOnce: 2,
  });
};
