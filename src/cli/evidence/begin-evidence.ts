import { nextSignerOf, signerOf } from '../../app/evidence/start-evidence.ts';
import type { EvidenceConfig } from '../../config/config.ts';
import { OrgtrailError } from '../../errors.ts';
import { Builder } from '../../evidence/builder/builder.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import { vkeysOf } from '../../evidence/builder/sign-log.ts';
import { version } from '../../package/package-files.ts';
import { createProcessIdentity } from '../../postgres/leases/process-identity.ts';
import type { Pool } from '../../postgres/pool.ts';

/** Evidence that this process can sign. */
export type EvidenceWithKey = EvidenceConfig & { readonly keyFile: string };

/** Throws OrgtrailError `configuration` if no evidence is configured. */
export const requireEvidence = (evidence: EvidenceConfig | undefined): EvidenceWithKey => {
  if (evidence?.keyFile !== undefined) return { ...evidence, keyFile: evidence.keyFile };
  throw new OrgtrailError('configuration', 'ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE must be set', {
    hint: 'docs/evidence.md says what they are',
  });
};

const INIT_LEASE_MS = 30_000;

/** The logs and their genesis, as lines for people; a daemon that builds already goes on. */
export const begin = async (pool: Pool, evidence: EvidenceWithKey): Promise<string[]> => {
  const signer = signerOf(evidence);
  if (signer === undefined) throw new Error('a key is configured');
  const store = createEvidenceStore(pool, createProcessIdentity(), INIT_LEASE_MS);
  const builder = new Builder({
    store,
    signer,
    nextSigner: nextSignerOf(evidence),
    base: evidence.base,
    version,
    observer: {},
  });
  const { generation, events, journal } = await builder.open();
  const claim = await store.claim(generation);
  if ('epoch' in claim) {
    const takenMs = performance.now();
    const throwIfLost = () => {
      if (performance.now() - takenMs > INIT_LEASE_MS) throw new Error('the lease has run out');
    };
    const held = { ...claim, throwIfLost };
    try {
      while ((await builder.step(held)).kind === 'more' && (await store.readLogs())?.journal.size === 0);
    } finally {
      await store.release(claim);
    }
  }
  const vkeys = vkeysOf([events.origin, journal.origin], signer);
  return [
    `the log is ${events.origin}`,
    'give auditors these keys, on a way of their own:',
    ...vkeys.map((vkey) => `  ${vkey}`),
  ];
};
