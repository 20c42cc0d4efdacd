import { type BundleReader, bundleFiles } from '../bundle/layout.ts';
import { readManifest } from '../bundle/manifest.ts';
import { sha256 } from '../crypto/sha256.ts';
import { parsePolicy } from '../notes/policy.ts';
import { openLogs } from './open-logs.ts';
import { Report } from './report.ts';
import { type Anchor, anchorsOf, verifyAnchors } from './verify-anchors.ts';
import { beginContent, endContent } from './verify-content.ts';
import type { VerifiedLogs } from './verify-journal.ts';
import { verifyPayload } from './verify-payload.ts';

/** What an auditor brings along: both are worth more than what lies in the bundle. */
export interface VerifierOptions {
  /** The text of a policy. Without it that of the bundle is believed, and said so. */
  readonly policy?: Uint8Array;
  /** Checkpoints that the auditor kept. */
  readonly anchors?: readonly Anchor[];
}

/** Verifies a bundle of everything, offline: claims that hold, those that do not, and what is not claimed. */
export const verifyBundle = (reader: BundleReader, { policy: own, anchors = [] }: VerifierOptions = {}): Report => {
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
  verifyContent(report, reader, logs);
  report.notClaimed.push('that Cloudflare told everything, and the truth; that the clock was right');
  return report;
};

const verifyContent = (report: Report, reader: BundleReader, logs: VerifiedLogs): void => {
  const content = beginContent(report, reader, logs);
  verifyPayload(report, reader, logs.events, content.states, content.sources);
  endContent(report, reader, logs, content);
};

/** That the files are those which README.txt lists: damage on the way, not evidence. */
const verifyManifest = (report: Report, reader: BundleReader): void => {
  const readme = reader.read(bundleFiles.readme);
  if (readme === undefined) {
    report.notClaimed.push(`that all files are there: ${bundleFiles.readme} is missing`);
    return;
  }
  const listed = readManifest(readme);
  for (const path of reader.paths) {
    if (path === bundleFiles.readme) continue;
    const bytes = reader.read(path) ?? Buffer.alloc(0);
    if (listed.get(path) !== sha256(bytes).toString('hex'))
      report.fault('manifest', `${path} is not the file that is listed`);
    listed.delete(path);
  }
  for (const path of listed.keys()) report.fault('manifest', `${path} is listed, and missing`);
};
