import { type BundleReader, bundleFiles, changesPaths, isHidden, TIME_STAMPS_FOLDER } from '../bundle/layout.ts';
import { leafListPath } from '../bundle/leaf-list.ts';
import { readManifest } from '../bundle/manifest.ts';
import { BUNDLE_TIME_PATH } from '../bundle/time-of-bundle.ts';
import { sha256 } from '../crypto/sha256.ts';
import type { Report } from './report.ts';

/**
 * That nothing but files is there, that every file which README.txt lists is there as listed, and that no file of the two logs is unlisted: damage on the way, not evidence,
 * since nothing signs it. Other files are an auditor's own, and are named.
 */
export const verifyFiles = (report: Report, reader: BundleReader): void => {
  const paths = new Set(reader.hashes?.keys() ?? reader.paths);
  const known = verifyListed(report, reader);
  if (known.size > 0) {
    for (const path of paths) {
      if (!known.has(path) && isOfLogs(path)) report.fault('manifest', `${path} is not listed`);
    }
  }
  nameUnread(report, [...paths]);
};

/** What comparing with the list takes of a bundle. */
export type ListedReader = Pick<BundleReader, 'paths' | 'hashes' | 'read' | 'others'>;

/** That every file which README.txt lists is there as listed. Gives their paths. */
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

/** What is in the folders of tiles, sources, payload and anchors is judged there. */
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
