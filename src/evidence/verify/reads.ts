import { type BundleReader, bundleFiles } from '../bundle/layout.ts';
import { ReadLines, type ReadRow, readReadRow } from '../bundle/records.ts';
import { sha256 } from '../bytes.ts';
import type { StatementOf } from '../journal/statement.ts';
import { type PayloadPieces, piecesOf } from './payload.ts';
import type { Report } from './report.ts';

type Coverage = StatementOf<'coverage'>;
type Reads = NonNullable<Coverage['reads']>;
interface Source {
  readonly kind: string;
  readonly id: string;
}

const NO_ROWS = { count: 0, sha256: '0'.repeat(64) } as const;

interface StatedList {
  readonly source: Source;
  /** By number of rows. */
  readonly hashes: Map<number, string>;
  /** Of the last statement. */
  reads: Reads;
}

/** The rows must be those that the last statement of each source promises, in order, with the hash of every statement. */
export function* verifyReads(
  report: Report,
  reader: BundleReader,
  statements: readonly Coverage[],
): Generator<PayloadPieces> {
  const rows = new StatedReads(report, statements);
  if (reader.paths.includes(bundleFiles.journalReads)) {
    const [path, lines] = [bundleFiles.journalReads, new ReadLines()];
    let number = 0;
    const push = (piece: Uint8Array) => {
      for (const line of lines.push(piece)) {
        number += 1;
        rows.take(line, `line ${number} of ${path}`);
      }
    };
    const file = piecesOf(report, 'reads', path, { push, end: () => lines.end() });
    yield file;
    file.end();
  }
  rows.end();
}

/** Rows come in order. */
export class StatedReads {
  readonly #report: Report;
  readonly #lists: ReadonlyMap<string, StatedList>;
  readonly #seen = new Set<string>();
  #current: { readonly list: StatedList; number: number; hash: Buffer; isBroken: boolean } | undefined;
  #rows = 0;

  constructor(report: Report, statements: readonly Coverage[]) {
    this.#report = report;
    this.#lists = listsOf(report, statements);
  }

  take(line: Uint8Array, where: string): void {
    this.#rows += 1;
    const row = this.#report.attempt('reads', where, () => readReadRow(line));
    if (row === undefined) {
      if (this.#current !== undefined) this.#current.isBroken = true;
      return;
    }
    const current = this.#listOf(row, where);
    if (current === undefined || current.isBroken) return;
    const { list } = current;
    if (row.number !== current.number + 1 || row.number > list.reads.count) {
      current.isBroken = true;
      this.#report.fault('reads', `${where}: row ${row.number} of ${named(list.source)} does not belong there`);
      return;
    }
    current.number = row.number;
    current.hash = sha256(Buffer.concat([current.hash, sha256(line)]));
    const stated = list.hashes.get(row.number);
    if (stated === undefined || stated === current.hash.toString('hex')) return;
    current.isBroken = true;
    this.#report.fault(
      'reads',
      `the reads of ${named(list.source)} up to row ${row.number} are not those that are stated`,
    );
  }

  end(): void {
    this.#close();
    const lists = [...this.#lists.values()];
    for (const { source, reads } of lists) {
      if (!this.#seen.has(keyOf(source)) && firstOf(reads) <= reads.count)
        this.#report.fault('reads', `the reads of ${named(source)} are stated, and not in the bundle`);
    }
    const gone = lists.filter(({ reads }) => firstOf(reads) > 1);
    if (this.#rows > 0)
      this.#report.claim(['reads', 'journal', 'statement'], `${this.#rows} reads are those that were stated`);
    if (gone.length > 0)
      this.#report.note(
        `what ${gone.reduce((sum, { reads }) => sum + firstOf(reads) - 1, 0)} earlier reads of ${gone.length} sources were: their rows are no longer kept`,
      );
  }

  /** Undefined and a fault if the row stands elsewhere, or is stated nowhere. */
  #listOf({ source_kind: kind, source_id: id }: ReadRow, where: string) {
    const key = keyOf({ kind, id });
    const before = this.#current;
    if (before !== undefined && keyOf(before.list.source) === key) return before;
    this.#close();
    const list = this.#lists.get(key);
    if (
      list === undefined ||
      this.#seen.has(key) ||
      (before !== undefined && compare(before.list.source, { kind, id }) > 0)
    ) {
      this.#report.fault('reads', `${where}: a row of ${kind} ${id} does not belong there`);
      return undefined;
    }
    this.#seen.add(key);
    const { after = NO_ROWS } = list.reads;
    this.#current = { list, number: after.count, hash: Buffer.from(after.sha256, 'hex'), isBroken: false };
    return this.#current;
  }

  #close(): void {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined || current.isBroken || current.number === current.list.reads.count) return;
    const { source, reads } = current.list;
    this.#report.fault(
      'reads',
      `of ${reads.count} reads of ${named(source)} the last ones are missing, from row ${current.number + 1} on`,
    );
  }
}

const firstOf = ({ after = NO_ROWS }: Reads): number => after.count + 1;
const keyOf = ({ kind, id }: Source): string => JSON.stringify([kind, id]);
const named = ({ kind, id }: Source): string => `${kind} ${id}`;
/** As PostgreSQL sorts by "C". */
const compare = (a: Source, b: Source): number =>
  Buffer.compare(Buffer.from(a.kind), Buffer.from(b.kind)) || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));

/** A list only grows, and a number of rows has one hash. */
const listsOf = (report: Report, statements: readonly Coverage[]): ReadonlyMap<string, StatedList> => {
  const lists = new Map<string, StatedList>();
  for (const { source_kind: kind, source_id: id, reads, at } of statements) {
    if (reads === null) continue;
    const source = { kind, id };
    const key = keyOf(source);
    const list = lists.get(key) ?? { source, hashes: new Map([[NO_ROWS.count, NO_ROWS.sha256]]), reads };
    const { after = NO_ROWS } = reads;
    if (after.count > reads.count || reads.count < list.reads.count)
      report.fault('reads', `at ${at}, ${named(source)} has ${reads.count} reads, which are fewer than before`);
    for (const { count, sha256: hash } of [after, reads]) {
      if ((list.hashes.get(count) ?? hash) !== hash)
        report.fault('reads', `at ${at}, the first ${count} reads of ${named(source)} have another hash than before`);
      list.hashes.set(count, hash);
    }
    list.reads = reads;
    lists.set(key, list);
  }
  return lists;
};
