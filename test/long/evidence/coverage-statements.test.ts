import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { Dice } from '../../simulation/dice.ts';
import type { TestBuilder } from '../../support/evidence/builder-world.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import { coverageStatements, expectTrueStatements, stateAlways } from '../../support/evidence/stated-coverage.ts';
import { addSources, commit, entryText, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';

const sources = ['a', 'b', 'c'];

const world = worldOfEachTest(({ pool }) => addSources(pool, sources));

describe('three builders at once, each killed between any two statements, while entries are stored', () => {
  test.each([1, 2, 3, 4])('state only what is true: seed %i', async (seed) => {
    const { pool } = world;
    const dice = new Dice(seed);
    const reader = new Reader();
    let isOver = false;
    const builders = [1, 2, 3].map((number) =>
      buildAndDie(pool, new Dice(100 * seed + number), `host-${number}`, () => isOver),
    );
    for (let index = 0; index < 150; index += 1) await reader.read(pool, dice.pick(sources), dice.between(1, 5));
    await until('every source is stated', async () => (await statedSources(pool)) === sources.length);
    isOver = true;
    await Promise.all(builders);
    const statements = await coverageStatements(pool);
    await expectTrueStatements(pool, statements);
    await pool.query('update evidence_logs set lease_until = null');
    await world.build({ owner: 'last/1/x' });
    await world.verified();
  });
});

describe('a database that goes back at random moments, and reads other entries', () => {
  test.each([1, 2, 3, 4, 5, 6])('states nothing of what was lost: seed %i', async (seed) => {
    const { pool } = world;
    const dice = new Dice(seed);
    const reader = new Reader();
    let saved: ReadonlyMap<string, number> = new Map();
    let rewind: () => Promise<void>;
    const save = async () => {
      rewind = await rememberForRewind(pool, ['coverage']);
      saved = reader.next();
    };
    /** Another server, which has the copy. */
    const restore = async () => {
      await rewind();
      await pool.query(`update evidence_logs set timeline = 'of the lost server ' || random()`);
      reader.goBack(saved);
    };
    const one = world.open({ chunk: dice.between(3, 30), coverage });
    const claim = await one.claim();
    if (claim === undefined) throw new Error('no other process has the lease');
    await save();
    for (let round = 0; round < 60; round += 1) {
      await reader.read(pool, dice.pick(sources), dice.between(1, 10));
      await one.builder.step(claim, dice.chance(0.3));
      if (dice.chance(0.3)) await save();
      if (dice.chance(0.1)) await restore();
    }
    const { rows } = await pool.query<{ state: string }>(`select state from evidence_logs where name = 'events'`);
    await expectTrueStatements(pool, await coverageStatements(pool));
    if (rows[0]?.state === 'ok') await world.verified();
    else expect(rows[0]?.state).toMatch(/^(behind|forked|building)$/);
  });
});

const coverage = { ...stateAlways, batch: 2 };

/** Reads a second of a source after the other: each entry comes once, and its second is claimed with it. */
class Reader {
  readonly #next = new Map<string, number>();
  #names = 0;

  async read(pool: Pool, source: string, count: number): Promise<void> {
    const from = this.#next.get(source) ?? 0;
    this.#next.set(source, from + count);
    this.#names += 1;
    const entries = Array.from({ length: count }, (_, index) =>
      entryText(`${source}-${this.#names}-${index}`, T0 + (from + index) * 1_000),
    );
    await commit(pool, await takeLease(pool, source), entries, { claims: [seconds(from, from + count)] });
  }

  /** What is stored went back to this. */
  goBack(next: ReadonlyMap<string, number>): void {
    for (const source of sources) this.#next.set(source, next.get(source) ?? 0);
  }

  next(): ReadonlyMap<string, number> {
    return new Map(this.#next);
  }
}

const statedSources = async (pool: Pool): Promise<number> =>
  new Set((await coverageStatements(pool)).map(({ source_id: id }) => id)).size;

const buildAndDie = async (pool: Pool, dice: Dice, owner: string, isOver: () => boolean): Promise<void> => {
  let one: TestBuilder | undefined;
  for (let started = 0; !isOver(); ) {
    if (one === undefined) {
      started += 1;
      const store = crashingStore(createEvidenceStore(pool, `${owner}/${started}/x`, 30_000), () =>
        dice.chance(0.03) ? dice.pick(['before', 'after'] as const) : undefined,
      );
      one = world.open({ chunk: dice.between(5, 80), store, coverage });
    }
    try {
      if (dice.chance(0.5)) await pool.query(`update evidence_logs set lease_until = null where name = 'events'`);
      const claim = await one.claim();
      for (let step = dice.between(1, 6); claim !== undefined && step > 0; step -= 1) {
        await one.builder.step(claim, dice.chance(0.7));
      }
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      one = undefined;
    }
  }
};
