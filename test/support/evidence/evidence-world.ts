import type { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { BuilderOptions, StepResult } from '../../../src/evidence/builder/builder.ts';
import type { LogSigner } from '../../../src/evidence/builder/ports.ts';
import type { ExportOptions } from '../../../src/evidence/export/content.sql.ts';
import { type ExportedBundle, exportBundle } from '../../../src/evidence/export/export-bundle.ts';
import { type EvidenceStatus, readEvidenceStatus } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { verifyStored } from '../../../src/evidence/stored/verify-forever.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';
import { commit, entryText, seconds, T0, takeLease } from '../postgres/store-fixture.ts';
import { type AddedEvents, addEvents, newSigner, openBuilder, type TestBuilder } from './builder-world.ts';
import { BundleRoom, type Judgements, judge } from './judge.ts';

type OpenOptions = Partial<BuilderOptions> & { readonly owner?: string };

/** A database, the key that signs its evidence, and a folder for bundles. */
export class EvidenceWorld {
  readonly signer = newSigner();
  #database: TestDatabase | undefined;
  #room: BundleRoom | undefined;

  async begin(copyOf?: TestDatabase): Promise<TestDatabase> {
    this.#database = await createTestDatabase(copyOf && { copyOf });
    return this.#database;
  }

  async end(): Promise<void> {
    this.#room?.[Symbol.dispose]();
    this.#room = undefined;
    await this.#database?.close();
    this.#database = undefined;
  }

  get database(): TestDatabase {
    if (this.#database === undefined) throw new Error('there is no database yet');
    return this.#database;
  }

  get pool(): Pool {
    return this.database.pool;
  }

  get room(): BundleRoom {
    this.#room ??= new BundleRoom();
    return this.#room;
  }

  open(options: OpenOptions = {}, signer: LogSigner = this.signer): TestBuilder {
    return openBuilder(this.pool, signer, options);
  }

  /** All that there is to do, by a process that ends then. */
  async build(options: OpenOptions = {}): Promise<StepResult> {
    return await this.open(options).build();
  }

  async addEvents(count: number, name: string, more: AddedEvents = {}): Promise<void> {
    await addEvents(this.pool, count, name, more);
  }

  /** A page with an entry for each of these seconds, which are claimed by this pass; the source is known already. */
  async read(source: string, from: number, to: number, pass = 0): Promise<void> {
    const entries = Array.from({ length: to - from }, (_, index) =>
      entryText(`${source}-${from + index}`, T0 + (from + index) * 1_000),
    );
    const claims = [...Array.from({ length: pass }, () => []), seconds(from, to)];
    await commit(this.pool, await takeLease(this.pool, source), entries, { claims });
  }

  /** Months that can be dropped: partitions, by default from January 2025 on, and a time of Cloudflare. */
  async allowDrops(from = '2025-01-01', to = '2026-02-01'): Promise<void> {
    await this.pool.query('select orgtrail_create_partitions($1, $2)', [from, to]);
    await this.pool.query('update discovery set server_time = clock_timestamp()');
  }

  /** Drops a month like `2025-01`; gives what is in the way, or null. */
  async drop(month: string): Promise<string | null | undefined> {
    const { rows } = await this.pool.query<{ obstacle: string | null }>(
      `select orgtrail_drop_month($1, '30 days') as obstacle`,
      [`${month}-01`],
    );
    return rows[0]?.obstacle;
  }

  /** The statements. */
  async statements() {
    const { rows } = await this.pool.query<{ type: string; ref: string; text: string }>(
      'select type, ref, text from evidence_statements order by index',
    );
    return rows.map(({ type, ref, text }) => ({ ...JSON.parse(text), type, ref }));
  }

  async status(): Promise<EvidenceStatus> {
    const found = await readEvidenceStatus(this.pool);
    if (found === undefined) throw new Error('there is no evidence');
    return found;
  }

  /** The log takes no more events, as if a process had found out. */
  async stop(state: 'halted' | 'behind' = 'behind'): Promise<void> {
    await this.pool.query(`update evidence_log set state = $1, state_reason = 'by this test', lease_until = null`, [
      state,
    ]);
  }

  /** What is stored is what was signed, and goes on from what was kept. */
  async verified(kept: readonly { readonly name: string; readonly note: Buffer }[] = []): Promise<void> {
    const publicKeys = [this.signer.publicKey];
    const { faults } = await verifyStored(this.pool, { kept, policy: undefined, publicKeys, onBlock: () => {} });
    expect(faults).toEqual([]);
  }

  /** As the command does, without waiting for a builder. */
  async export(more: Partial<ExportOptions> = {}): Promise<ExportedBundle & { readonly folder: string }> {
    const folder = this.room.next();
    const options = { version: '0.0.0-test', publicKeys: [this.signer.publicKey], waitMs: 0, ...more };
    return { ...(await exportBundle(this.pool, folder, options)), folder };
  }
}

/** What both verifiers say of a bundle in which neither finds a fault; `kept` are checkpoints that were kept. */
export const judgedSound = async (folder: string, kept: readonly string[] = []): Promise<Judgements> => {
  const judged = await judge(folder, kept);
  expect([judged.node.faults, judged.python.faults, judged.python.holds]).toEqual([[], [], true]);
  return judged;
};

/** A world for each test that follows. What `prepare` does is done once, and each test has a copy of it. */
export const worldOfEachTest = (prepare?: (world: EvidenceWorld) => Promise<unknown>): EvidenceWorld => {
  const world = new EvidenceWorld();
  let prepared: TestDatabase | undefined;
  if (prepare !== undefined)
    beforeAll(async () => {
      prepared = await world.begin();
      await prepare(world);
    });
  beforeEach(async () => {
    await world.begin(prepared);
  });
  afterEach(() => world.end());
  afterAll(() => prepared?.close());
  return world;
};

/** One world for all tests that follow. `prepare` may give what closes what it has opened, as to `beforeAll`. */
export const worldOfAllTests = (prepare: (world: EvidenceWorld) => Promise<unknown>): EvidenceWorld => {
  const world = new EvidenceWorld();
  beforeAll(async () => {
    await world.begin();
    return await prepare(world);
  });
  afterAll(() => world.end());
  return world;
};
