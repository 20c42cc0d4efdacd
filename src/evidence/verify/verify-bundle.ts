import { type BundleReader, bundleFiles } from '../bundle/layout.ts';
import { readManifest } from '../bundle/manifest.ts';
import { sha256 } from '../crypto/sha256.ts';
import { parsePolicy } from '../notes/policy.ts';
import { openLogs } from './open-logs.ts';
import { Report } from './report.ts';
import { type Anchor, anchorsOf, verifyAnchors } from './verify-anchors.ts';
import { beginContent, endContent } from './verify-content.ts';
import type { VerifiedLogs } from './verify-journal.ts';
import { type PayloadPieces, verifyPayload } from './verify-payload.ts';

/** What an auditor brings along: both are worth more than what lies in the bundle. */
export interface VerifierOptions {
  /** The text of a policy. Without it that of the bundle is believed, and said so. */
  readonly policy?: Uint8Array;
  /** Checkpoints that the auditor kept. */
  readonly anchors?: readonly Anchor[];
}

/** As `verificationOf`, with files of payload that fit into memory. */
export const verifyBundle = (reader: BundleReader, options: VerifierOptions = {}): Report => {
  const steps = verificationOf(reader, options);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    value.take(reader.read(value.path) ?? Buffer.alloc(0));
  }
};

/**
 * Verifies a bundle of everything, offline: claims that hold, those that do not, and what is not claimed. Asks for the pieces of each
 * file of payload before it goes on, so that the caller may read these as it likes.
 */
export function* verificationOf(
  reader: BundleReader,
  { policy: own, anchors = [] }: VerifierOptions = {},
): Generator<PayloadPieces, Report, void> {
  const report = new Report();
  verifyManifest(report, reader);
  const policyBytes = own ?? reader.read(bundleFiles.policy);
  if (policyBytes === undefined) report.fault('policy', `${bundleFiles.policy} is missing`);
  const policy = report.attempt('policy', bundleFiles.policy, () => parsePolicy(policyBytes ?? Buffer.alloc(0)));
  if (policy === undefined) return report;
  if (own === undefined) report.notClaimed.push('whose keys these are: those of the policy in the bundle are believed');
  const logs = openLogs(report, reader, policy, own === undefined);
  if (logs === undefined) return report;
  verifyAnchors(report, [...anchors, ...anchorsOf(reader)], logs, policy);
  yield* verifyContent(report, reader, logs);
  report.notClaimed.push('that Cloudflare told everything, and the truth; that the clock was right');
  return report;
}

function* verifyContent(report: Report, reader: BundleReader, logs: VerifiedLogs): Generator<PayloadPieces> {
  const content = beginContent(report, reader, logs);
  yield* verifyPayload(report, reader, logs.events, content.states, content.sources);
  endContent(report, reader, logs, content);
}

/** That the files are those which README.txt lists: damage on the way, not evidence. */
const verifyManifest = (report: Report, reader: BundleReader): void => {
  const readme = reader.read(bundleFiles.readme);
  if (readme === undefined) {
    report.notClaimed.push(`that all files are there: ${bundleFiles.readme} is missing`);
    return;
  }
  const listed = readManifest(readme);
  const hashOf = (path: string): string =>
    reader.hashes?.get(path) ?? sha256(reader.read(path) ?? Buffer.alloc(0)).toString('hex');
  for (const path of reader.hashes?.keys() ?? reader.paths) {
    if (path === bundleFiles.readme) continue;
    if (listed.get(path) !== hashOf(path)) report.fault('manifest', `${path} is not the file that is listed`);
    listed.delete(path);
  }
  for (const path of listed.keys()) report.fault('manifest', `${path} is listed, and missing`);
};
