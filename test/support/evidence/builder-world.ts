import { generateKeyPairSync } from 'node:crypto';
import type { Pool } from 'pg';
import {
  Builder,
  type BuilderOptions,
  type HeldClaim,
  type StepResult,
} from '../../../src/evidence/builder/builder.ts';
import { createEvidenceStore, type EvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { EvidenceObserver, LogSigner, SignedCheckpoint } from '../../../src/evidence/builder/ports.ts';
import { publicBytes, signatureOf } from '../../../src/evidence/bytes.ts';
import { type NextLog, type NextOptions, nextLog } from '../../../src/evidence/generations/next-log.ts';
import type { Coverage } from '../../../src/ingest/planning/coverage.ts';
import { commit, entryText, newSource, T0 } from '../postgres/store-fixture.ts';

export const BASE = 'audit.example.com/evidence';
const LEASE_MS = 30_000;

/** Signs with a key of its own. */
export const newSigner = (): LogSigner => {
  const { privateKey } = generateKeyPairSync('ed25519');
  return { publicKey: publicBytes(privateKey), sign: async (text) => signatureOf(Buffer.from(text), privateKey) };
};

/** A builder and what it has told. */
export interface TestBuilder {
  readonly builder: Builder;
  readonly store: EvidenceStore;
  readonly signed: SignedCheckpoint[];
  readonly stops: string[];
  readonly went: { on: number };
  claim(): Promise<HeldClaim | undefined>;
  /** Steps until there is nothing more to do. */
  build(claim?: HeldClaim): Promise<StepResult>;
}

/** A process that builds; `owner` as in a lease. */
export const openBuilder = (
  pool: Pool,
  signer: LogSigner,
  { owner = 'host/1/x', ...more }: Partial<BuilderOptions> & { readonly owner?: string } = {},
): TestBuilder => {
  const store = more.store ?? createEvidenceStore(pool, owner, LEASE_MS);
  const signed: SignedCheckpoint[] = [];
  const stops: string[] = [];
  const went = { on: 0 };
  const observer: EvidenceObserver = {
    signed: (checkpoint) => signed.push(checkpoint),
    stopped: (state, reason) => stops.push(`${state}: ${reason}`),
    wentOn: () => {
      went.on += 1;
    },
  };
  const builder = new Builder({ base: BASE, version: '0.0.0-test', observer, signer, ...more, store });
  const claim = async () => {
    await builder.open();
    const claimed = await store.claim();
    return 'epoch' in claimed ? { ...claimed, throwIfLost: () => {} } : undefined;
  };
  const build = async (given?: HeldClaim) => {
    const held = given ?? (await claim());
    if (held === undefined) throw new Error('another one has the lease');
    for (;;) {
      const result = await builder.step(held);
      if (result.kind === 'done' || result.kind === 'stopped') return result;
    }
  };
  return { builder, store, signed, stops, went, claim, build };
};

export interface AddedEvents {
  readonly source?: string;
  readonly fromMs?: number;
  readonly claims?: readonly Coverage[];
}

/** A page of entries of a source, a second apart: `NAME-0`, `NAME-1` and so on. */
export const addEvents = async (
  pool: Pool,
  count: number,
  name: string,
  { source = 'a', fromMs = T0, claims = [] }: AddedEvents = {},
): Promise<void> => {
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, fromMs + index * 1_000));
  await commit(pool, await newSource(pool, source), texts, { claims });
};

/** The next log, after one that has stopped. */
export const next = async (pool: Pool, { publicKey }: LogSigner, more: Partial<NextOptions> = {}): Promise<NextLog> => {
  const store = createEvidenceStore(pool, 'next', 0);
  return await nextLog(pool, store, {
    base: BASE,
    publicKey: Buffer.from(publicKey),
    keys: (await store.readKeys()).history,
    version: '0.0.0-test',
    reason: 'restored',
    by: 'J. Doe',
    known: [],
    statements: undefined,
    withoutHolds: false,
    ...more,
  });
};

/** The newest checkpoint. */
export const newestNote = async (pool: Pool): Promise<string> => {
  const { rows } = await pool.query<{ note: string }>(
    'select note from evidence_checkpoints order by size desc limit 1',
  );
  return rows[0]?.note ?? '';
};
