import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { SignedCheckpoint } from '../../../src/evidence/builder/ports.ts';
import { Dice } from '../../simulation/dice.ts';
import type { TestBuilder } from '../../support/evidence/builder-world.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import {
  coverageStatements,
  expectTrueStatements,
  readsOf,
  stateAlways,
} from '../../support/evidence/stated-coverage.ts';
import {
  addSources,
  commit,
  entryText,
  newSource,
  seconds,
  T0,
  takeLease,
} from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';

const SEEDS = [1, 2, 3];
const world = worldOfEachTest();

describe('three builders at once, each killed between any two statements', () => {
  test.each(SEEDS)('make one tree, and all that they sign is consistent: seed %i (invariant 15)', async (seed) => {
    const { pool } = world;
    const dice = new Dice(seed);
    const signed: SignedCheckpoint[] = [];
    let isOver = false;
    const builders = [1, 2, 3].map((number) =>
      buildAmongOthers(pool, new Dice(100 * seed + number), { owner: `host-${number}`, signed, isOver: () => isOver }),
    );
    const built = Promise.all(builders);
    let hasFailed = false;
    built.catch(() => {
      hasFailed = true;
    });
    await commitSome(pool, dice, 25);
    while (signed.length <= 3 && !hasFailed) await commitSome(pool, dice, 1);
    isOver = true;
    await built;
    await pool.query('update evidence_log set lease_until = null');
    const last = world.open({ owner: 'last/1/x' });
    await last.build();
    await expectConsistent([...signed, ...last.signed]);
  });
});

describe('a database that goes back at random moments, and goes on with other events', () => {
  test.each([...SEEDS, 4, 5])(
    'is noticed before the next signature, or nothing that was signed is lost: seed %i (invariant 15)',
    async (seed) => {
      const { pool } = world;
      const dice = new Dice(seed);
      const signed: SignedCheckpoint[] = [];
      const open = () => world.open({ chunk: dice.between(5, 200) });
      let one = open();
      let claim = await one.claim();
      let rewind = await rememberForRewind(pool);
      for (let round = 0; round < 25; round += 1) {
        await commitSome(pool, dice, dice.between(0, 2));
        if (dice.chance(0.05)) {
          signed.push(...one.signed);
          one = open();
          claim = await one.claim();
        }
        if (claim !== undefined) for (let step = dice.between(0, 3); step > 0; step -= 1) await one.builder.step(claim);
        if (dice.chance(0.3)) rewind = await rememberForRewind(pool);
        if (!dice.chance(0.15)) continue;
        await rewind();
        await pool.query(`update evidence_log set timeline = 'of the lost server ' || random()`);
      }
      // A lease that was lost with the rest is taken again.
      if (claim !== undefined) await one.build(claim);
      await one.build();
      signed.push(...one.signed);
      const { rows } = await pool.query<{ state: string }>(`select state from evidence_log`);
      if (rows[0]?.state === 'ok') await expectConsistent(signed);
      else {
        expect(rows[0]?.state).toBe('behind');
        // What was signed before is all of one tree.
        expect(new Set(signed.map(({ size, root }) => `${size} ${Buffer.from(root).toString('hex')}`)).size).toBe(
          new Set(signed.map(({ size }) => size)).size,
        );
      }
    },
  );
});

describe('three builders at once, each killed between any two statements, while entries are stored', () => {
  test.each([1, 2])('state only what is true: seed %i (invariant 15)', async (seed) => {
    const { pool } = world;
    await addSources(pool, stated);
    const dice = new Dice(seed);
    const reader = new Reader();
    let isOver = false;
    const builders = [1, 2, 3].map((number) =>
      buildAmongOthers(pool, new Dice(100 * seed + number), {
        owner: `host-${number}`,
        isOver: () => isOver,
        mostAtOnce: 80,
        coverage,
      }),
    );
    for (let index = 0; index < 150; index += 1) await reader.read(pool, dice.pick(stated), dice.between(1, 5));
    await until('every source is stated', async () => (await statedSources(pool)) === stated.length);
    isOver = true;
    await Promise.all(builders);
    const statements = await coverageStatements(pool);
    await expectTrueStatements(pool, statements);
    await pool.query('update evidence_log set lease_until = null');
    await world.build({ owner: 'last/1/x' });
    await world.verified();
  });
});

describe('a database that goes back at random moments, and reads other entries', () => {
  test.each([1, 2, 3])('states nothing of what was lost: seed %i', async (seed) => {
    const { pool } = world;
    await addSources(pool, stated);
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
      await pool.query(`update evidence_log set timeline = 'of the lost server ' || random()`);
      reader.goBack(saved);
    };
    const one = world.open({ chunk: dice.between(3, 30), coverage });
    const claim = await one.claim();
    if (claim === undefined) throw new Error('no other process has the lease');
    await save();
    for (let round = 0; round < 60; round += 1) {
      await reader.read(pool, dice.pick(stated), dice.between(1, 10));
      await one.builder.step(claim, dice.chance(0.3));
      if (dice.chance(0.3)) await save();
      if (dice.chance(0.1)) await restore();
    }
    const { rows } = await pool.query<{ state: string }>(`select state from evidence_log`);
    await expectTrueStatements(pool, await coverageStatements(pool));
    if (rows[0]?.state === 'ok') await world.verified();
    else expect(rows[0]?.state).toMatch(/^(behind|building)$/);
  });
});

const LEASE_MS = 30_000;
const sources = ['a', 'b', 'c', 'd'];

/** Commits pages of random sources, of random months, with entries that are known and entries that have no time. */
const commitSome = async (pool: Pool, dice: Dice, commits: number): Promise<void> => {
  for (let index = 0; index < commits; index += 1) {
    const source = dice.pick(sources);
    const lease = await takeLease(pool, source).catch(() => newSource(pool, source));
    const texts = Array.from({ length: dice.between(1, 60) }, () => {
      const number = dice.between(0, 5_000);
      const timeMs = T0 - dice.between(0, 400) * 86_400_000;
      return dice.chance(0.05) ? `{"id":"timeless-${number}"}` : entryText(`e-${number}`, timeMs);
    });
    await commit(pool, lease, texts);
  }
};

interface AmongOthers {
  readonly owner: string;
  readonly isOver: () => boolean;
  /** All that it signs is added to it. */
  readonly signed?: SignedCheckpoint[];
  readonly mostAtOnce?: number;
  readonly coverage?: typeof coverage;
}

/** A builder that is killed now and then, and started again, until nothing is left to do. */
const buildAmongOthers = async (
  pool: Pool,
  dice: Dice,
  { owner, isOver, signed = [], mostAtOnce = 300, coverage }: AmongOthers,
): Promise<void> => {
  let started = 0;
  let one: TestBuilder | undefined;
  for (let round = 0; round < 12 || !isOver(); round += 1) {
    started += one === undefined ? 1 : 0;
    one ??= world.open({
      chunk: dice.between(1, mostAtOnce),
      ...(coverage && { coverage }),
      store: crashingStore(createEvidenceStore(pool, `${owner}/${started}/x`, LEASE_MS), () =>
        dice.chance(0.02) ? dice.pick(['before', 'after'] as const) : undefined,
      ),
    });
    try {
      // Leases that run out, or that go to another one in the middle of a step.
      if (dice.chance(0.5)) await pool.query(`update evidence_log set lease_until = null`);
      const claim = await one.claim();
      for (let step = dice.between(1, 5); claim !== undefined && step > 0; step -= 1) {
        await one.builder.step(claim, dice.chance(0.7));
      }
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      signed.push(...one.signed);
      one = undefined;
    }
  }
  signed.push(...(one?.signed ?? []));
};

const expectConsistent = async (signed: readonly SignedCheckpoint[]): Promise<void> => {
  const anchors = signed.map(({ size, note }) => ({ name: `of ${size}`, note: Buffer.from(note) }));
  await world.verified(anchors);
};

const coverage = { ...stateAlways, batch: 2 };
/** The sources whose coverage is stated. */
const stated = ['a', 'b', 'c'];

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
    await commit(pool, await takeLease(pool, source), entries, {
      claims: [seconds(from, from + count)],
      reads: readsOf(T0 + from * 1_000, T0 + (from + count) * 1_000),
    });
  }

  /** What is stored went back to this. */
  goBack(next: ReadonlyMap<string, number>): void {
    for (const source of stated) this.#next.set(source, next.get(source) ?? 0);
  }

  next(): ReadonlyMap<string, number> {
    return new Map(this.#next);
  }
}

const statedSources = async (pool: Pool): Promise<number> =>
  new Set((await coverageStatements(pool)).map(({ sourceId }) => sourceId)).size;
