import { type Kind, kindOf, LEAVES_PER_FILE, type LeavesFile, type Selection } from '../bundle/layout.ts';
import { type LeafRecord, RecordSplitter } from '../bundle/records.ts';
import { HASH_BYTES, sha256 } from '../bytes.ts';
import { microsecondsOf } from '../journal/instants.ts';
import type { StatementOf } from '../journal/statement.ts';
import {
  addLeaf,
  chainStart,
  type EventLeaf,
  type Growing,
  LOG_NUMBER,
  type NumberChain,
  readEventLeaf,
} from '../leaf.ts';
import { emptyRoot, leafHash, nodeHash } from '../tree/tiles.ts';
import type { Report } from './report.ts';
import type { StatementLeaf, Statements } from './statements.ts';

/** An event that is here, with its content or without. */
export type TakeEvent = (number: number, leaf: EventLeaf, contents: readonly Uint8Array[]) => void;

/** Chapters 2 and 6: records and statements make the tree, leaf by leaf. */
export class Leaves {
  readonly counts = { content: 0, withheld: 0, dropped: 0 };
  readonly #report: Report;
  readonly #statements: Statements;
  readonly #selection: Selection;
  readonly #kind: Kind;
  readonly #size: number;
  readonly #take: TakeEvent | undefined;
  readonly #fold: Fold;
  readonly #numbers = new Map<number, Growing<NumberChain>>();
  readonly #bounds: readonly [sinceUs: bigint | undefined, beforeUs: bigint | undefined];
  #nextStatement = 0;
  #position = 0;
  #changesFound = 0;
  /** Sources with content here. */
  readonly #shown = new Set<number>();
  /** Of the last event with its content. */
  #event:
    | { readonly index: number; readonly number: number; readonly leaf: EventLeaf; readonly contents: Buffer[] }
    | undefined;

  /** `sizes`: of the prefixes whose roots are needed. */
  constructor(
    report: Report,
    statements: Statements,
    selection: Selection,
    size: number,
    sizes: Iterable<number>,
    take: TakeEvent | undefined,
  ) {
    this.#report = report;
    this.#statements = statements;
    this.#selection = selection;
    this.#kind = kindOf(selection);
    this.#size = size;
    this.#fold = new Fold(sizes);
    this.#take = take;
    this.#bounds = [usOf(selection.since), usOf(selection.before)];
    this.#pass();
  }

  /** Rejects with an EvidenceFault for what is no file of records: nothing behind it can be judged. */
  async file({ number, path }: LeavesFile, pieces: AsyncIterable<Buffer>): Promise<void> {
    const splitter = new RecordSplitter();
    let records = 0;
    for await (const piece of pieces) {
      for (const record of splitter.push(piece)) {
        records += 1;
        if (record.kind === 'C') {
          this.#content(record.raw);
          continue;
        }
        this.#endEvent();
        if (Math.floor(this.#fold.size / LEAVES_PER_FILE) !== number)
          this.#report.fault('leaves', `leaf ${this.#fold.size} stands in ${path}`);
        this.#record(record);
        this.#pass();
      }
    }
    splitter.end();
    this.#endEvent();
    if (records === 0) this.#report.fault('leaves', `${path} has no record`);
  }

  /** The tree. */
  end(): Fold {
    const { size } = this.#fold;
    const { endedAt = size } = this.#statements;
    if (size > endedAt + 1) this.#report.fault('leaves', `leaf ${endedAt + 1} follows the end of the log`);
    const left = this.#statements.leaves.length - this.#nextStatement;
    if (left > 0) this.#report.fault('leaves', `${left} statements have no place among the ${size} leaves`);
    const changes = [...this.#statements.changes.values()].reduce((sum, { length }) => sum + length, 0);
    if (changes > this.#changesFound)
      this.#report.fault(
        'leaves',
        `${changes - this.#changesFound} statements of changed content are of no event of their source here`,
      );
    if (this.#kind === 'search')
      for (const { index, number } of this.#statements.leaves)
        if (number !== LOG_NUMBER && !this.#shown.has(number))
          this.#report.fault('complete', `statement ${index} is of source ${number}, and nothing of that was found`);
    return this.#fold;
  }

  /** Takes the statements that stand here. */
  #pass(): void {
    for (;;) {
      const statement = this.#statements.leaves[this.#nextStatement];
      if (statement?.index !== this.#fold.size || statement.index >= this.#size) return;
      this.#nextStatement += 1;
      this.#statement(statement);
    }
  }

  #statement({ index, hash, number, counts }: StatementLeaf): void {
    this.#statements.holds.leaf(index, 'statement', number);
    if (counts !== undefined) {
      const [own, log] = [this.#numbered(number), this.#numbered(LOG_NUMBER)];
      const isOwn = counts.own === [own.leaves, own.events, own.chain.toString('hex')].join(' ');
      const isOfLog = counts.log === [log.leaves, log.chain.toString('hex')].join(' ');
      // A search has all statements of the log, and not all of a source.
      if (!isOfLog || (!isOwn && this.#kind !== 'search'))
        this.#report.fault(
          'complete',
          `statement ${index} counts other leaves of source ${number}, or of the log, than are here below it`,
        );
    }
    this.#append(hash, number, false);
  }

  #record(record: Exclude<LeafRecord, { kind: 'C' }>): void {
    const index = this.#fold.size;
    const { kind } = record;
    if (kind === 'S') {
      this.#subtree(record.hash, record.height);
      return;
    }
    if (index >= this.#size)
      this.#report.fault('leaves', `leaf ${index} stands beyond the ${this.#size} of the checkpoint`);
    if (kind === 'D') {
      this.counts.dropped += 1;
      this.#allow(index, 'D', record.number, undefined);
      if ((this.#statements.sources.get(record.number)?.index ?? index) >= index)
        this.#report.fault('leaves', `leaf ${index} is of source ${record.number}, which no statement before names`);
      this.#statements.holds.leaf(index, 'dropped', record.number);
      this.#changes(index, record.number);
      this.#append(Buffer.from(record.hash), record.number, true);
      return;
    }
    const leaf = this.#report.attempt('leaves', `leaf ${index}`, () => readEventLeaf(record.leaf));
    const number = leaf && this.#judge(index, leaf);
    if (leaf !== undefined && number !== undefined) {
      this.#allow(index, kind, number, leaf);
      this.#statements.holds.leaf(index, 'event', number, leaf.actionTimeUs);
      this.#changes(index, number);
      this.#event = { index, number, leaf, contents: [] };
      if (kind === 'E') {
        this.counts.content += 1;
        this.#shown.add(number);
        this.#event.contents.push(this.#take === undefined ? nothing : Buffer.from(record.raw));
        if (record.raw.length !== leaf.rawBytes || !sha256(record.raw).equals(leaf.rawSha256))
          this.#report.fault('leaves', `the content of leaf ${index} (event ${leaf.id}) is not that of its leaf`);
      } else this.counts.withheld += 1;
    }
    this.#append(leafHash(record.leaf), number ?? -1, true);
  }

  /** Undefined, and a fault, if no statement before gives its source a number. */
  #judge(index: number, { position, sourceKind, sourceId }: EventLeaf): number | undefined {
    if (position < 1 || position <= this.#position)
      this.#report.fault('leaves', `leaf ${index} has position ${position} after ${this.#position}`);
    this.#position = position;
    const number = this.#statements.numberOf(sourceKind, sourceId);
    const source = number === undefined ? undefined : this.#statements.sources.get(number);
    if (source !== undefined && source.index < index) return number;
    this.#report.fault('leaves', `leaf ${index} is of ${sourceKind} ${sourceId}, which no statement before names`);
    return undefined;
  }

  #subtree(hash: Buffer, height: number): void {
    const index = this.#fold.size;
    const end = index + 2 ** height;
    if (this.#kind === 'everything' || (this.#kind === 'time' && this.#selection.source === null))
      this.#report.fault('complete', `leaves ${index} to ${end - 1} are not here`);
    const wrong =
      index % 2 ** height !== 0
        ? 'does not stand at a multiple of that'
        : end > this.#size
          ? 'reaches beyond the checkpoint'
          : (this.#statements.leaves[this.#nextStatement]?.index ?? end) < end
            ? 'has a statement that is here'
            : undefined;
    if (wrong !== undefined) this.#report.fault('leaves', `the root of ${2 ** height} leaves at ${index} ${wrong}`);
    // The record is a view, and the fold keeps what it gets.
    else this.#fold.push(Buffer.from(hash), height);
  }

  /** By the table of selections. */
  #allow(index: number, record: 'E' | 'L' | 'D', number: number, leaf: EventLeaf | undefined): void {
    const { source } = this.#selection;
    const isOther = this.#kind !== 'search' && source !== null && number !== source;
    const isOfTime = leaf === undefined || this.#isOfTime(leaf.actionTimeUs);
    const isAllowed = {
      everything: record !== 'L',
      source: record !== 'L',
      time: record === 'D' || isOfTime === (record === 'E'),
      search: record === 'E',
    }[this.#kind];
    if (isOther || !isAllowed)
      this.#report.fault('complete', `leaf ${index} (record ${record}) is not of the selection`);
  }

  #isOfTime(us: bigint | undefined): boolean {
    const [since, before] = this.#bounds;
    return us === undefined || ((since === undefined || since <= us) && (before === undefined || us < before));
  }

  /** Later contents are only of an event, and of its own source. */
  #changes(index: number, number: number): void {
    for (const { source, index: at } of this.#statements.changes.get(index) ?? []) {
      this.#changesFound += 1;
      if (source !== number) this.#report.fault('leaves', `statement ${at} is of an event of another source`);
    }
  }

  #content(raw: Buffer): void {
    const event = this.#event;
    if (event === undefined || event.contents.length === 0) {
      this.#report.fault('leaves', `a later content stands behind no event, before leaf ${this.#fold.size}`);
      return;
    }
    event.contents.push(Buffer.from(raw));
  }

  /** Each change has its content, each content its change. */
  #endEvent(): void {
    const event = this.#event;
    this.#event = undefined;
    if (event === undefined) return;
    const changes = this.#statements.changes.get(event.index);
    if (event.contents.length > 1 || (changes !== undefined && event.contents.length > 0))
      this.#judgeContents(event.index, changes ?? [], event.contents.slice(1));
    this.#take?.(event.number, event.leaf, event.contents);
  }

  #judgeContents(index: number, changes: readonly StatementOf<'change'>[], contents: readonly Buffer[]): void {
    const stated = new Set(changes.map((change) => `${change.raw_sha256} ${change.raw_bytes}`));
    const found = contents.map((raw) => `${sha256(raw).toString('hex')} ${raw.length}`);
    const isSame = found.length === stated.size && found.every((one) => stated.delete(one));
    if (!isSame) this.#report.fault('leaves', `the later contents of leaf ${index} are not those that were stated`);
  }

  #append(hash: Uint8Array, number: number, isEvent: boolean): void {
    addLeaf(this.#numbered(number), hash, isEvent);
    this.#fold.push(hash);
  }

  #numbered(number: number): Growing<NumberChain> {
    const known = this.#numbers.get(number) ?? { ...chainStart };
    this.#numbers.set(number, known);
    return known;
  }
}

/** Chapter 6 of the format: subtrees from the left, so that the root of every prefix that ends between two of them is known. */
export class Fold {
  /** Of the prefixes that are wanted, as far as no subtree hides where they end. */
  readonly roots = new Map<number, Buffer>([[0, emptyRoot]]);
  readonly #wanted: ReadonlySet<number>;
  readonly #heights: number[] = [];
  readonly #hashes: Uint8Array[] = [];
  #size = 0;

  constructor(wanted: Iterable<number> = []) {
    this.#wanted = new Set(wanted);
  }

  get size(): number {
    return this.#size;
  }

  /** The root of 2^height leaves, at an index that is a multiple of that. Throws a RangeError elsewhere. */
  push(hash: Uint8Array, height = 0): void {
    if (this.#size % 2 ** height !== 0) throw new RangeError(`no subtree of height ${height} begins at ${this.#size}`);
    this.#size += 2 ** height;
    let [top, at] = [hash, height];
    while (this.#heights.at(-1) === at) {
      top = nodeHash(this.#hashes.pop() as Uint8Array, top);
      this.#heights.pop();
      at += 1;
    }
    this.#hashes.push(top);
    this.#heights.push(at);
    if (this.#wanted.has(this.#size)) this.roots.set(this.#size, this.root());
  }

  /** Of all leaves so far. */
  root(): Buffer {
    const [first, ...lower] = this.#hashes.toReversed();
    if (first === undefined) return Buffer.from(emptyRoot);
    return Buffer.from(lower.reduce((root, left) => nodeHash(left, root), first));
  }
}

const nothing = Buffer.alloc(HASH_BYTES).subarray(0, 0);
const usOf = (instant: string | null): bigint | undefined => (instant === null ? undefined : microsecondsOf(instant));
