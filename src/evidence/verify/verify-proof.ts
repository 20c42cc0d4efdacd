import type { PayloadRecord } from '../bundle/payload.ts';
import { readEventLeaf } from '../leaves/leaf.ts';
import { openCheckpoint } from '../notes/open-checkpoint.ts';
import type { Policy } from '../notes/policy.ts';
import { parseTlogProof } from '../notes/tlog-proof.ts';
import { leafHash } from '../tree/merkle.ts';
import { rootByInclusion } from '../tree/proofs.ts';
import { Report } from './report.ts';
import { isRawOf } from './verify-payload.ts';

/** Verifies one event by its `.tlog-proof`: that it is in the log which the policy believes, at its position, with this payload. */
export const verifyProof = (proofFile: Uint8Array, { leaf, raw }: PayloadRecord, policy: Policy): Report => {
  const report = new Report();
  report.attempt('checkpoint', 'the proof', () => {
    const proof = parseTlogProof(proofFile);
    const { origin, size, root, unknown } = openCheckpoint(Buffer.from(proof.checkpoint), policy);
    const said = readEventLeaf(leaf);
    const { position } = said;
    const isInTree = rootByInclusion(proof.index, size, leafHash(leaf), proof.hashes)?.equals(root) === true;
    if (!isInTree) report.fault('root', `event ${position} is not in ${origin} by this proof`, position);
    if (proof.index !== position - 1)
      report.fault('leaf', `event ${position} is said to be leaf ${proof.index}`, position);
    if (!isRawOf(said, raw)) report.fault('payload', `the payload is not that of event ${position}`, position);
    for (const { name } of unknown) report.note(`that ${name} signed the checkpoint: it is not in the policy`);
    report.claim(['leaf', 'payload'], `event ${position} is in ${origin}, as it was among ${size}, with this payload`);
  });
  return report;
};
