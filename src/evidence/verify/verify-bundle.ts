import {
  BUNDLE_TIME_PATH,
  type BundleReader,
  bundleFiles,
  changesPaths,
  isHidden,
  leafListPath,
  readManifest,
  TIME_STAMPS_FOLDER,
} from '../bundle/layout.ts';
import { EvidenceFault, sha256 } from '../bytes.ts';
import { parseCheckpoint } from '../notes/checkpoint.ts';
import { isSameLog, originOf, type Policy, parsePolicy, policyOfGeneration } from '../notes/policy.ts';
import { isBySome, parseNote, verifyNote } from '../notes/signed-note.ts';
import {
  type Anchor,
  countingAnchors,
  sayNotAnchored,
  verifyAnchors,
  verifyKeys,
  verifyOwnAnchors,
  withStatedKeys,
} from './anchors.ts';
import { beginContent, endContent } from './content.ts';
import { verifyChanges } from './drops.ts';
import { openLogs, type SignedStatements, type VerifiedLogs } from './logs.ts';
import { type Content, verifyTimeFile } from './partial.ts';
import { type PayloadPieces, verifyPayload } from './payload.ts';
import { verifyReads } from './reads.ts';
import { Report } from './report.ts';
import { isOfOneSource, type VerifiedLog } from './verified-log.ts';

/** Worth more than what lies in the bundle. */
export interface VerifierOptions {
  /** Without a policy, that of the bundle is believed, and said so. */
  readonly policy?: Uint8Array;
  readonly anchors?: readonly Anchor[];
}

/** Offline. Asks for the pieces of each file of payload, so that the caller may read these as it likes. */
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

/** What an auditor could have given, and what the other verifier does. */
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
  reportUnanchored(report);
};

/** Without an external anchor, the operator could have rewritten everything. */
export const reportUnanchored = (report: Report): void => {
  if (report.isAnchored) return;
  report.note(
    'unanchored: that the history was not rewritten with the key: no checkpoint that was kept elsewhere is given',
  );
};

/**
 * Only files are there, each listed one as listed, and none of the two logs unlisted: damage on the way, not evidence, since
 * nothing signs it. Other files are an auditor's own, and are named.
 */
const verifyFiles = (report: Report, reader: BundleReader): void => {
  const paths = new Set(reader.hashes?.keys() ?? reader.paths);
  const known = verifyListed(report, reader);
  if (known.size > 0) {
    for (const path of paths) {
      if (!known.has(path) && isOfLogs(path)) report.fault('manifest', `${path} is not listed`);
    }
  }
  nameUnread(report, [...paths]);
};

export type ListedReader = Pick<BundleReader, 'paths' | 'hashes' | 'read' | 'others'>;

/** Gives the paths that README.txt lists. */
export const verifyListed = (report: Report, reader: ListedReader): ReadonlySet<string> => {
  for (const path of reader.others ?? [])
    report.fault('manifest', `${path} is a link, or no file: what it leads to is not in the bundle`);
  const listed = readManifest(reader.read(bundleFiles.readme) ?? Buffer.alloc(0));
  if (listed.length === 0) report.note(`that no file was damaged by accident: ${bundleFiles.readme} lists none`);
  const paths = new Set(reader.hashes?.keys() ?? reader.paths);
  for (const [path, hash] of listed) {
    const actual = paths.has(path) ? hashOf(reader, path) : undefined;
    if (actual === undefined) report.fault('manifest', `${path} is listed, and missing`);
    else if (actual !== hash) report.fault('manifest', `${path} is not the file that is listed`);
  }
  if (listed.length > 0) report.claim(['manifest'], `${listed.length} files are as ${bundleFiles.readme} lists them`);
  return new Set(listed.map(([path]) => path));
};

const hashOf = (reader: ListedReader, path: string): string =>
  reader.hashes?.get(path) ?? sha256(reader.read(path) ?? Buffer.alloc(0)).toString('hex');

const isOfLogs = (path: string): boolean =>
  (path === bundleFiles.policy || path === bundleFiles.changes || /^(?:events|journal)\//.test(path)) &&
  !isHidden(path);

const readNames = new Set<string>([
  bundleFiles.readme,
  bundleFiles.policy,
  bundleFiles.journalEntries,
  bundleFiles.journalReads,
  ...changesPaths,
  leafListPath('events'),
  leafListPath('journal'),
  BUNDLE_TIME_PATH,
  'events/checkpoint',
  'journal/checkpoint',
  'verify.py',
]);

/** Tiles, sources, payload and anchors are judged elsewhere. */
const nameUnread = (report: Report, paths: readonly string[]): void => {
  const stamps = paths.filter((path) => path.startsWith(TIME_STAMPS_FOLDER) && path.endsWith('.tsr'));
  if (stamps.length > 0)
    report.note(
      `when the journal existed: ${stamps.length} time stamps are here, which \`openssl ts -verify\` verifies`,
    );
  const isRead = (path: string): boolean =>
    readNames.has(path) ||
    path.startsWith(TIME_STAMPS_FOLDER) ||
    (/^(?:(?:events|journal)\/tile|events\/(?:payload|sources|withheld)|anchors)\//.test(path) && !isHidden(path));
  const unread = paths.filter((path) => !isRead(path)).sort();
  if (unread.length === 0) return;
  const more = unread.length > 5 ? ', …' : '';
  report.note(`what ${unread.length} files are that no verifier reads: ${unread.slice(0, 5).join(', ')}${more}`);
};

/** The common leaves must be here, and the last checkpoint before must be of this feed, with that root within what is common. */
export const verifyFork = (report: Report, statements: SignedStatements, events: VerifiedLog, policy: Policy): void => {
  const [fork] = statements.of('fork');
  if (fork === undefined) return;
  const { common_size: common, last_note: note } = fork;
  if (common > events.size)
    report.fault('fork', `the fork says that ${common} leaves are common, and here are ${events.size}`);
  if (note === '') {
    report.note('from where the generation before went on: the fork names no checkpoint of it');
    return;
  }
  report.attempt('fork', 'the checkpoint in the fork', () => {
    const { origin, size, root } = parseCheckpoint(parseNote(Buffer.from(note)).text);
    const [theirs = 0, ours = 0] = [origin, events.origin].map((text) => originOf(text)?.generation);
    if (!isSameLog(origin, events.origin) || theirs >= ours)
      throw new EvidenceFault(`it is of no generation before this one: ${origin}`);
    verifySignature(report, note, policyOfGeneration(policy, origin));
    if (size <= common && size <= events.size && !events.rootAt(size).equals(root))
      throw new EvidenceFault(
        `it has another tree of ${size} leaves than this log, and ${common} are said to be common`,
      );
    report.claim(
      ['fork', 'journal'],
      `the first ${Math.min(size, common)} leaves are those of generation ${theirs}, as the fork says`,
    );
    report.note(`what generation ${theirs} had behind its first ${common} leaves, which the fork left`);
  });
};

const verifySignature = (report: Report, note: string, { logs }: Policy): void => {
  const read = parseNote(Buffer.from(note));
  if (isBySome(read, logs)) verifyNote(read, logs);
  else report.note('that the checkpoint in the fork is signed: the policy has no key of it');
};
