import { ANCHORS_FOLDER, type BundleReader } from '../bundle/layout.ts';
import { openCheckpoint } from '../notes/open-checkpoint.ts';
import type { Policy } from '../notes/policy.ts';
import type { Report } from './report.ts';
import type { VerifiedLogs } from './verify-journal.ts';

/** A checkpoint that was kept elsewhere: what makes that the operator cannot rewrite what is older. */
export interface Anchor {
  /** Whose file it is, for messages. */
  readonly name: string;
  readonly note: Uint8Array;
}

/** Those that lie in the bundle. Where they were kept meanwhile, the bundle does not prove. */
export const anchorsOf = (reader: BundleReader): Anchor[] =>
  reader.paths
    .filter((path) => path.startsWith(ANCHORS_FOLDER))
    .map((path) => ({ name: path, note: reader.read(path) ?? Buffer.alloc(0) }));

/**
 * That each log goes on from each of its checkpoints: not smaller, and with that root at that size. Witnesses are not required of an
 * anchor; the log's own signature is. One of another log, an earlier generation perhaps, says nothing.
 */
export const verifyAnchors = (
  report: Report,
  anchors: readonly Anchor[],
  { events, journal }: VerifiedLogs,
  policy: Policy,
): void => {
  const withoutQuorum = { ...policy, quorum: { needed: 0, members: [] } };
  for (const { name, note } of anchors) {
    const anchor = report.attempt('anchor', name, () => openCheckpoint(note, withoutQuorum));
    if (anchor === undefined) continue;
    const { origin, size, root } = anchor;
    const log = [events, journal].find((one) => one.origin === origin);
    if (log === undefined) report.notClaimed.push(`that ${origin} goes on here: ${name} is a checkpoint of it`);
    else if (size > log.size) {
      report.fault(
        'anchor',
        `${name} has ${size} leaves of ${origin}, and here are ${log.size}: some are missing at the end`,
      );
    } else if (!log.rootAt(size).equals(root)) {
      report.fault('anchor', `${name} has another tree of ${size} leaves of ${origin}: it was rewritten`);
    } else {
      report.claims.push(`the first ${size} leaves of ${origin} are those of ${name}`);
    }
  }
  if (anchors.length === 0) {
    report.notClaimed.push(
      'that the history was not rewritten with the key: no checkpoint that was kept elsewhere is given',
    );
  }
};
