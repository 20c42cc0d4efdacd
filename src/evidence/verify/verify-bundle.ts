import { type BundleReader, bundleFiles, TIME_STAMPS_FOLDER } from '../bundle/layout.ts';
import { type Policy, parsePolicy } from '../notes/policy.ts';
import { openLogs } from './open-logs.ts';
import { verifyTimeFile } from './part/of-a-time.ts';
import { isOfOneSource } from './part/part-of-log.ts';
import { Report } from './report.ts';
import { verifyChanges } from './statements/verify-changes.ts';
import { verifyFork } from './statements/verify-fork.ts';
import { verifyKeys, withStatedKeys } from './statements/verify-keys.ts';
import { verifyReads } from './statements/verify-reads.ts';
import { type Anchor, countingAnchors, sayNotAnchored, verifyAnchors, verifyOwnAnchors } from './verify-anchors.ts';
import { beginContent, type Content, endContent } from './verify-content.ts';
import { verifyFiles } from './verify-files.ts';
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
 * Verifies a bundle of everything, or of one source, offline: claims that hold, those that do not, and what is not claimed. Asks for the pieces of each
 * file of payload before it goes on, so that the caller may read these as it likes.
 */
export function* verificationOf(
  reader: BundleReader,
  { policy: own, anchors = [] }: VerifierOptions = {},
): Generator<PayloadPieces, Report, void> {
  const report = new Report();
  verifyFiles(report, reader);
  const policyBytes = own ?? reader.read(bundleFiles.policy);
  if (policyBytes === undefined) report.fault('policy', `${bundleFiles.policy} is missing`);
  const policy = report.attempt('policy', bundleFiles.policy, () => parsePolicy(policyBytes ?? Buffer.alloc(0)));
  if (policy === undefined) return report;
  if (own === undefined) report.note('whose keys these are: those of the policy in the bundle are believed');
  report.isOfOneSource = isOfOneSource(reader);
  report.time = verifyTimeFile(report, reader);
  const logs = openLogs(report, reader, policy, own === undefined);
  if (logs === undefined) return report;
  const content = beginContent(report, reader, logs);
  yield* verifyReads(report, reader, content.statements.of('coverage'));
  yield* verifyPayload(report, reader, logs.events, content);
  endContent(report, reader, logs, content);
  verifyBeside(report, reader, { logs, content, policy, isPolicyOfBundle: own === undefined, anchors });
  sayNotChecked(report, reader, { own, anchors });
  report.note('that this is the newest state of the log: the operator may have a longer one');
  report.note(
    'when it was signed: a checkpoint has no time. Only time stamps, and witnesses by their own clocks, say by when it existed',
  );
  report.note('that Cloudflare told everything, and the truth; that the clock was right');
  return report;
}

/** What an auditor could have given, and did not; and what this verifier leaves to the other one. */
const sayNotChecked = (
  report: Report,
  reader: BundleReader,
  { own, anchors }: { readonly own: Uint8Array | undefined; readonly anchors: readonly Anchor[] },
): void => {
  if (own === undefined) report.skip('the keys: none that you were given elsewhere (--policy)');
  if (anchors.length === 0) report.skip('whether history was rewritten: no checkpoint that you kept (--anchor)');
  const stamps = reader.paths.some((path) => path.startsWith(TIME_STAMPS_FOLDER) && path.endsWith('.tsr'));
  report.skip(
    stamps
      ? 'the time stamps: verify.py --tsa-ca does that, and `openssl ts -verify`'
      : 'when it was signed: there is no time stamp in the bundle',
  );
  if (!report.isOfOneSource || report.time === undefined)
    report.skip(
      'whether one organization, account or time is complete by itself: verify.py --organization, --since, --before',
    );
};

interface Beside {
  readonly logs: VerifiedLogs;
  readonly content: Content;
  readonly policy: Policy;
  readonly isPolicyOfBundle: boolean;
  readonly anchors: readonly Anchor[];
}

/** What lies beside the two logs: later contents, and checkpoints that were kept. */
const verifyBeside = (
  report: Report,
  reader: BundleReader,
  { logs, content, policy, isPolicyOfBundle, anchors }: Beside,
): void => {
  const { statements } = content;
  verifyChanges(report, reader, content);
  verifyFork(report, statements, logs.events, policy);
  verifyKeys(report, reader, { ...logs, statements, policy });
  const anchored = { ...logs, policy: withStatedKeys(policy, statements), statements };
  const isByWitness = report.isAnchored;
  const counting = countingAnchors(report, reader, anchors);
  const others = anchors.filter((anchor) => !counting.includes(anchor));
  if (verifyAnchors(report, counting, anchored) > 0) report.isAnchored = true;
  verifyAnchors(report, others, anchored);
  report.isAnchoredToTheEnd = isByWitness || (report.isAnchored && sayNotAnchored(report, counting, anchored));
  verifyOwnAnchors(report, reader, anchored, isPolicyOfBundle);
  sayUnanchored(report);
};

/** Without anything that the operator does not hold, he may have rewritten all of it. */
export const sayUnanchored = (report: Report): void => {
  if (report.isAnchored) return;
  report.note(
    'unanchored: that the history was not rewritten with the key: no checkpoint that was kept elsewhere is given',
  );
};
