import { type BundleReader, bundleFiles, checkpointPath } from '../bundle/layout.ts';
import { readManifest } from '../bundle/manifest.ts';
import { sha256 } from '../crypto/sha256.ts';
import { type OpenCheckpoint, openCheckpoint } from '../notes/open-checkpoint.ts';
import { type LogName, parseOrigin, writeOrigin } from '../notes/origin.ts';
import { type Policy, parsePolicy } from '../notes/policy.ts';
import { LeafStates } from './leaf-states.ts';
import { Report } from './report.ts';
import { SourceNumbers } from './source-numbers.ts';
import { type VerifiedLog, verifyLog } from './verified-log.ts';
import { verifyAbsent, verifyTileSources } from './verify-absent.ts';
import { type Anchor, anchorsOf, verifyAnchors } from './verify-anchors.ts';
import { verifyChains } from './verify-chains.ts';
import { verifyCoverage } from './verify-coverage.ts';
import { verifyDrops } from './verify-drops.ts';
import { type VerifiedLogs, verifyJournal } from './verify-journal.ts';
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
  const { events } = logs;
  const statements = verifyJournal(report, reader, logs);
  const states = new LeafStates(events.size);
  const sources = new SourceNumbers(report, statements.of('source'));
  verifyPayload(report, reader, events, states, sources);
  verifyAbsent(report, events, states, statements.of('drop'));
  verifyTileSources(report, reader, states, sources, events.size);
  verifyChains(report, events, states, sources, statements.of('coverage'));
  verifyCoverage(report, statements.of('coverage'));
  verifyDrops(report, statements);
  report.claims.push(
    `of ${events.size} events ${states.count('present')} are as they were hashed, ${states.count('dropped')} were dropped as ` +
      `stated, and ${states.count('hole')} were dropped before they were hashed`,
  );
  const adopted = statements.of('genesis')[0]?.adopted ?? 0;
  const laterHoles = states.countFrom(adopted, 'hole');
  if (laterHoles > 0)
    report.notClaimed.push(`why ${laterHoles} positions after the first ${adopted} never had an event`);
  if (adopted > 0) report.notClaimed.push(`what happened to the first ${adopted} events before they were hashed`);
};

/** The trees of both logs, which must be of one feed and one generation. */
const openLogs = (
  report: Report,
  reader: BundleReader,
  policy: Policy,
  isOfBundle: boolean,
): VerifiedLogs | undefined => {
  const checkpoints = (['events', 'journal'] as const).map((log) =>
    openLog(report, reader, policy, { log, isOfBundle }),
  );
  const [events, journal] = checkpoints;
  if (events === undefined || journal === undefined) return undefined;
  const isOfOneFeed = report.attempt('checkpoint', 'the logs', () => {
    const origin = parseOrigin(events.origin);
    return origin.log === 'events' && writeOrigin({ ...origin, log: 'journal' }) === journal.origin;
  });
  if (isOfOneFeed === false)
    report.fault('checkpoint', `${events.origin} and ${journal.origin} are not the logs of one feed`);
  return { events, journal };
};

const openLog = (
  report: Report,
  reader: BundleReader,
  policy: Policy,
  { log, isOfBundle }: { readonly log: LogName; readonly isOfBundle: boolean },
): VerifiedLog | undefined => {
  const path = checkpointPath(log);
  const checkpoint = report.attempt('checkpoint', path, () =>
    openCheckpoint(reader.read(path) ?? Buffer.alloc(0), policy),
  );
  if (checkpoint === undefined) return undefined;
  sayWhoSigned(report, path, checkpoint, isOfBundle);
  return verifyLog(report, reader, log, checkpoint);
};

/** The policy of a bundle names all who signed it, so another line of the bundle has been changed. */
const sayWhoSigned = (
  report: Report,
  path: string,
  { size, signers, unknown }: OpenCheckpoint,
  isOfBundle: boolean,
): void => {
  report.claims.push(`${path}, of ${size} leaves, is signed by ${signers.map(({ key }) => key.name).join(', ')}`);
  for (const { name } of unknown) {
    if (isOfBundle) report.fault('checkpoint', `${path} has a signature of ${name}, which is not in the policy`);
    else report.notClaimed.push(`that ${name} signed ${path}: it is not in the policy`);
  }
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
