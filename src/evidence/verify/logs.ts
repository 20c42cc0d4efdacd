import type { z } from 'zod';
import { type BundleReader, bundleFiles, checkpointPath } from '../bundle/layout.ts';
import { microsecondsOf } from '../journal/instants.ts';
import type { StatedTree, Statement, StatementOf, unknownStatement } from '../journal/statement.ts';
import { type ReadStatement, readLines, readStatement } from '../journal/statement-text.ts';
import { journalLeaf } from '../leaf.ts';
import { type LogName, parseOrigin, writeOrigin } from '../notes/checkpoint.ts';
import { type OpenCheckpoint, openCheckpoint, type Policy } from '../notes/policy.ts';
import { leafHash, MAX_LEAF_BYTES } from '../tree/tiles.ts';
import type { Report } from './report.ts';
import { isOfOneSource, type VerifiedLog, verifyLog, verifyPartOfLog } from './verified-log.ts';

/** Of one feed and generation. `isOfBundle`: the policy is the bundle's. Undefined if one of them cannot be believed. */
export const openLogs = (
  report: Report,
  reader: BundleReader,
  policy: Policy,
  isOfBundle: boolean,
): VerifiedLogs | undefined => {
  const open = (log: LogName): VerifiedLog | undefined => {
    const path = checkpointPath(log);
    const read = () => openCheckpoint(reader.read(path) ?? Buffer.alloc(0), policy);
    const checkpoint = report.attempt('checkpoint', path, read);
    if (checkpoint === undefined) return undefined;
    sayWhoSigned(report, path, checkpoint, isOfBundle);
    return (isOfOneSource(reader) ? verifyPartOfLog : verifyLog)(report, reader, log, checkpoint);
  };
  const [events, journal] = [open('events'), open('journal')];
  if (events === undefined || journal === undefined) return undefined;
  const isOfOneFeed = report.attempt('checkpoint', 'the logs', () => {
    const origin = parseOrigin(events.origin);
    return origin.log === 'events' && writeOrigin({ ...origin, log: 'journal' }) === journal.origin;
  });
  if (isOfOneFeed === false)
    report.fault('checkpoint', `${events.origin} and ${journal.origin} are not the logs of one feed`);
  return { events, journal };
};

/** The policy of a bundle names all who signed it: another line was changed. */
const sayWhoSigned = (report: Report, path: string, checkpoint: OpenCheckpoint, isOfBundle: boolean): void => {
  const { size, signers, unknown } = checkpoint;
  if (!isOfBundle && signers.some(({ atSeconds }) => atSeconds !== undefined)) report.isAnchored = true;
  report.claim([], `${path}, of ${size} leaves, is signed by ${signers.map(({ key }) => key.name).join(', ')}`);
  for (const { name } of unknown) {
    if (isOfBundle) report.fault('checkpoint', `${path} has a signature of ${name}, which is not in the policy`);
    else report.note(`that ${name} signed ${path}: it is not in the policy`);
  }
};

export interface SignedStatements {
  of<T extends Statement['type']>(type: T): StatementOf<T>[];
}

export interface VerifiedLogs {
  readonly events: VerifiedLog;
  readonly journal: VerifiedLog;
}

/** Each line must be the leaf at its place, and its tree a beginning of this one. Only what is signed is handed on. */
export const verifyJournal = (report: Report, reader: BundleReader, logs: VerifiedLogs): SignedStatements => {
  const { journal } = logs;
  const path = bundleFiles.journalEntries;
  const bytes = reader.read(path);
  if (bytes === undefined) report.fault('journal', `${path} is missing`);
  const lines = report.attempt('journal', path, () => readLines(bytes ?? Buffer.alloc(0))) ?? [];
  const { listed } = journal;
  const count = listed?.count ?? journal.size;
  if (lines.length !== count) {
    report.fault('journal', `${path} has ${lines.length} statements, and ${count} are ${listed ? 'listed' : 'signed'}`);
  }
  if (listed !== undefined && listed.placeOf(0) === undefined)
    report.fault('journal', 'the first statement is not in the bundle');
  const placed: PlacedStatement[] = [];
  const signed = lines.slice(0, count).flatMap((text, place) => {
    const index = listed?.indexAt(place) ?? place;
    const where = `statement ${index + 1}`;
    const leaf = journalLeaf(text);
    if (leaf.length > MAX_LEAF_BYTES || !leafHash(leaf).equals(journal.leafHash(index))) {
      report.fault('journal', `${where} is not the one that is signed`);
      return [];
    }
    const read = report.attempt('statement', where, () => readStatement(text));
    if (read === undefined) return [];
    placed.push({ index, head: read.statement });
    return readSigned(report, read, where, logs);
  });
  verifyOrder(report, placed, logs);
  report.claim(
    ['journal', 'statement'],
    `${listed === undefined ? '' : `${count} of `}${journal.size} statements are as signed, and each names a root of this history`,
  );
  return { of: (type) => signed.filter((one): one is StatementOf<typeof type> => one.type === type) };
};

const readSigned = (report: Report, read: ReadStatement, where: string, { events, journal }: VerifiedLogs) => {
  verifyStatedTree(report, read.statement.tree, events, where);
  if (!read.known) {
    report.note(`what ${where} says: its type, ${read.statement.type}, is not known to this version`);
    return [];
  }
  const { statement } = read;
  if (statement.type === 'timestamp') verifyStatedTree(report, statement.checkpoint, journal, where);
  return [statement];
};

const verifyStatedTree = (report: Report, { origin, size, root }: StatedTree, log: VerifiedLog, where: string) => {
  if (origin !== log.origin) report.fault('statement', `${where} speaks of another log, ${origin}`);
  else if (size > log.size)
    report.fault('statement', `${where} speaks of a tree of ${size}, larger than that of the bundle`);
  else {
    const actual = report.attempt('statement', where, () => log.rootAt(size));
    if (actual !== undefined && actual.toString('base64') !== root)
      report.fault('statement', `${where} speaks of a tree of ${size} that never was`);
  }
};

interface PlacedStatement {
  readonly index: number;
  readonly head: z.infer<typeof unknownStatement>;
}

/** `genesis` or `fork` comes first, as the generation begins, and once; the tree of statements never gets smaller. */
const verifyOrder = (
  report: Report,
  statements: readonly PlacedStatement[],
  { events, journal }: { readonly events: VerifiedLog; readonly journal: VerifiedLog },
): void => {
  if (journal.size === 0 && events.size > 0) report.fault('journal', 'the journal is empty: it has no genesis');
  let [size, hasGenesis, backwards, atUs] = [0, false, 0, 0n];
  for (const { index, head } of statements) {
    const { type, tree } = head;
    const where = `statement ${index + 1}`;
    if (index === 0) verifyFirst(report, type, journal.origin);
    else if (type === 'fork') report.fault('journal', `${where} is a fork, which only the first one can be`);
    if (type === 'genesis' && (hasGenesis || index > 1)) report.fault('journal', `${where} is another genesis`);
    hasGenesis ||= type === 'genesis';
    if (tree.size < size)
      report.fault('journal', `${where} speaks of a tree of ${tree.size}, after one that speaks of ${size}`);
    size = tree.size;
    const us = microsecondsOf(head.at) ?? 0n;
    if (us < atUs) backwards += 1;
    atUs = us;
  }
  if (backwards > 0)
    report.note(`when ${backwards} statements were made: they are dated before those that precede them`);
};

const verifyFirst = (report: Report, type: string, origin: string): void => {
  const named = report.attempt('checkpoint', 'journal/checkpoint', () => parseOrigin(origin));
  if (named === undefined) return;
  const { generation } = named;
  const wanted = generation === 1 ? 'genesis' : 'fork';
  const begins = `a journal of generation ${generation} begins with ${wanted}`;
  if (type !== wanted) report.fault('journal', `statement 1 is a ${type}, and ${begins}`);
};
