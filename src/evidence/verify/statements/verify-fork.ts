import { EvidenceFault } from '../../evidence-fault.ts';
import { parseCheckpoint } from '../../notes/checkpoint.ts';
import { isSameLog, originOf, policyOfGeneration } from '../../notes/generations.ts';
import type { Policy } from '../../notes/policy.ts';
import { parseNote, verifyNote } from '../../notes/signed-note.ts';
import type { Report } from '../report.ts';
import type { VerifiedLog } from '../verified-log.ts';
import type { SignedStatements } from '../verify-journal.ts';

/**
 * That a fork goes on from where it says: the common leaves are here, and the last anchored checkpoint of the generation before is one of
 * this feed and has that root, as far as it is within what is common.
 */
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
  const isKnown = read.signatures.some((line) => logs.some(({ name, id }) => name === line.name && id === line.keyId));
  if (isKnown) verifyNote(read, logs);
  else report.note('that the checkpoint in the fork is signed: the policy has no key of it');
};
