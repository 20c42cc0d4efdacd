import { generateKeyPairSync } from 'node:crypto';
import type { Pool } from 'pg';
import {
  Builder,
  type BuilderOptions,
  type HeldClaim,
  type StepResult,
} from '../../../src/evidence/builder/builder.ts';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type {
  EvidenceObserver,
  EvidenceStore,
  LogSigner,
  SignedCheckpoint,
} from '../../../src/evidence/builder/ports.ts';
import { publicBytes, signatureOf } from '../../../src/evidence/crypto/ed25519.ts';

const BASE = 'audit.example.com/evidence';
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
    const { generation } = await builder.open();
    const claimed = await store.claim(generation);
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
