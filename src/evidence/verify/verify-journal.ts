import { type BundleReader, bundleFiles } from '../bundle/layout.ts';
import type { StatedTree } from '../journal/fields.ts';
import type { Statement, StatementOf } from '../journal/statement.ts';
import { type ReadStatement, readJournal, readStatement } from '../journal/statement-text.ts';
import { journalLeaf } from '../leaves/leaf.ts';
import { leafHash, MAX_LEAF_BYTES } from '../tree/merkle.ts';
import type { Report } from './report.ts';
import { type PlacedStatement, verifyOrder } from './statements/statement-order.ts';
import type { VerifiedLog } from './verified-log.ts';

/** The statements that are signed, in order. */
export class SignedStatements {
  readonly #statements: readonly Statement[];

  constructor(statements: readonly Statement[]) {
    this.#statements = statements;
  }

  of<T extends Statement['type']>(type: T): StatementOf<T>[] {
    return this.#statements.filter((one): one is StatementOf<T> => one.type === type);
  }
}

/** The two logs that a bundle has. */
export interface VerifiedLogs {
  readonly events: VerifiedLog;
  readonly journal: VerifiedLog;
}

/**
 * Reads the statements: each line must be the leaf at its place, no line more or fewer, and the tree that a statement speaks of must
 * be a beginning of this one. Only what is signed is handed on.
 */
export const verifyJournal = (report: Report, reader: BundleReader, logs: VerifiedLogs): SignedStatements => {
  const { journal } = logs;
  const path = bundleFiles.journalEntries;
  const bytes = reader.read(path);
  if (bytes === undefined) report.fault('journal', `${path} is missing`);
  const lines = report.attempt('journal', path, () => readJournal(bytes ?? Buffer.alloc(0))) ?? [];
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
  return new SignedStatements(signed);
};

const readSigned = (
  report: Report,
  read: ReadStatement,
  where: string,
  { events, journal }: VerifiedLogs,
): Statement[] => {
  verifyStatedTree(report, read.statement.tree, events, where);
  if (!read.known) {
    report.note(`what ${where} says: its type, ${read.statement.type}, is not known to this version`);
    return [];
  }
  const { statement } = read;
  if (statement.type === 'timestamp') verifyStatedTree(report, statement.checkpoint, journal, where);
  return [statement];
};

const verifyStatedTree = (
  report: Report,
  { origin, size, root }: StatedTree,
  log: VerifiedLog,
  where: string,
): void => {
  if (origin !== log.origin) report.fault('statement', `${where} speaks of another log, ${origin}`);
  else if (size > log.size)
    report.fault('statement', `${where} speaks of a tree of ${size}, larger than that of the bundle`);
  else {
    const actual = report.attempt('statement', where, () => log.rootAt(size));
    if (actual !== undefined && actual.toString('base64') !== root)
      report.fault('statement', `${where} speaks of a tree of ${size} that never was`);
  }
};
