import { readProvenEvent } from '../../evidence/bundle/proven-event.ts';
import { parsePolicy } from '../../evidence/notes/policy.ts';
import { Report } from '../../evidence/verify/report.ts';
import { verifyProof } from '../../evidence/verify/verify-proof.ts';
import { readInput } from './evidence-input.ts';

const ENDING = '.tlog-proof';

/** Whether a path names the proof of an event, and not a bundle. */
export const isProofFile = (path: string): boolean => path.endsWith(ENDING);

/** Verifies an event by the two files of `orgtrail evidence prove`. Without a policy, the keys beside the event are believed. */
export const verifyProofFile = (path: string, policy: Buffer | undefined): Report => {
  const proof = readInput(path);
  const text = readInput(`${path.slice(0, -ENDING.length)}.json`).toString();
  const report = new Report();
  const event = report.attempt('leaf', 'the event', () => readProvenEvent(text));
  const keys = report.attempt('policy', 'the policy', () => parsePolicy(policy ?? Buffer.from(event?.policy ?? '')));
  if (event === undefined || keys === undefined) return report;
  const verified = verifyProof(proof, event, keys);
  if (policy === undefined) verified.notClaimed.push('whose keys these are: those beside the event are believed');
  verified.notClaimed.push(
    'unanchored: that the log was not rewritten with the key. Compare its checkpoint with one that was kept, by a bundle',
  );
  return verified;
};
