import { type BundleReader, checkpointPath } from '../bundle/layout.ts';
import { type OpenCheckpoint, openCheckpoint } from '../notes/open-checkpoint.ts';
import { type LogName, parseOrigin, writeOrigin } from '../notes/origin.ts';
import type { Policy } from '../notes/policy.ts';
import { isOfOneSource, verifyPartOfLog } from './part/part-of-log.ts';
import type { Report } from './report.ts';
import { type VerifiedLog, verifyLog } from './verified-log.ts';
import type { VerifiedLogs } from './verify-journal.ts';

/**
 * The trees of both logs, which must be of one feed and one generation. `isOfBundle`: the policy is that of the bundle, which names all who
 * signed. Undefined if one of them cannot be believed.
 */
export const openLogs = (
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
  return isOfOneSource(reader)
    ? verifyPartOfLog(report, reader, log, checkpoint)
    : verifyLog(report, reader, log, checkpoint);
};

/** The policy of a bundle names all who signed it, so another line of the bundle has been changed. */
const sayWhoSigned = (
  report: Report,
  path: string,
  { size, signers, unknown }: OpenCheckpoint,
  isOfBundle: boolean,
): void => {
  if (!isOfBundle && signers.some(({ atSeconds }) => atSeconds !== undefined)) report.isAnchored = true;
  report.claim([], `${path}, of ${size} leaves, is signed by ${signers.map(({ key }) => key.name).join(', ')}`);
  for (const { name } of unknown) {
    if (isOfBundle) report.fault('checkpoint', `${path} has a signature of ${name}, which is not in the policy`);
    else report.note(`that ${name} signed ${path}: it is not in the policy`);
  }
};
