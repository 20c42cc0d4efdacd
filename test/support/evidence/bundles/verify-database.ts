import type { Pool } from 'pg';
import { createEvidenceStore } from '../../../../src/evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../../../src/evidence/builder/ports.ts';
import { keyOfLog } from '../../../../src/evidence/builder/signing-keys.ts';
import { readStored } from '../../../../src/evidence/stored/read-stored.sql.ts';
import { verifyStored } from '../../../../src/evidence/stored/verify-stored.ts';
import type { Anchor } from '../../../../src/evidence/verify/anchors.ts';
import type { Report } from '../../../../src/evidence/verify/report.ts';

/** Verifies what is stored, with the public key of the signer. */
export const verifyDatabase = async (
  pool: Pool,
  signer: LogSigner,
  anchors: readonly Anchor[] = [],
): Promise<Report> => {
  const store = createEvidenceStore(pool, 'host/0/verifier', 30_000);
  const logs = await store.readLogs();
  const stored = await readStored(pool);
  if (logs === undefined || stored === undefined) throw new Error('nothing is signed');
  const keys = [logs.events, logs.journal].map(({ origin }) => keyOfLog(origin, signer.publicKey));
  return await verifyStored(stored, {
    policy: { logs: keys, witnesses: [], quorum: { needed: 0, members: [] } },
    anchors,
    copyEvents: (until, take) => store.copyEvents(0, until, take),
  });
};
