import { type Kind, kindOf, type Selection } from '../bundle/layout.ts';
import { unlessFault } from '../bytes.ts';
import { type ReadStatement, readStatement, type Statement, type StatementOf } from '../journal/statement.ts';
import { statementLeaf } from '../leaf.ts';
import { type Checkpoint, parseCheckpoint } from '../notes/checkpoint.ts';
import { parseNote } from '../notes/signed-note.ts';
import { leafHash } from '../tree/tiles.ts';
import type { StatedCoverage } from './coverage.ts';
import { Holds } from './holds.ts';
import type { Report } from './report.ts';

/** All that is kept of a statement. */
export interface StatementLeaf {
  readonly index: number;
  readonly hash: Buffer;
  readonly number: number;
  /** What a `coverage` says of the leaves below it: leaves, events, chain of its source; leaves and chain of the log. */
  readonly counts: { readonly own: string; readonly log: string } | undefined;
}

type AnyStatement = ReadStatement['statement'];

export interface Source {
  readonly kind: string;
  readonly id: string;
  /** Of the statement that gives the number. */
  readonly index: number;
}

export interface Begin extends StatementOf<'begin'> {
  /** That of the log before; undefined for the first log. */
  readonly before: Checkpoint | undefined;
}

export interface LogKey {
  /** From this index on. */
  readonly index: number;
  /** In hexadecimal. */
  readonly key: string;
  /** The log that it signs. */
  readonly number: number;
}

/** Chapters 4, 5 and 8: each statement is judged by those before it. */
export class Statements {
  readonly leaves: StatementLeaf[] = [];
  readonly sources = new Map<number, Source>();
  readonly begins: Begin[] = [];
  readonly keys: LogKey[] = [];
  readonly stolenKeys = new Set<string>();
  /** By the index of their event. */
  readonly changes = new Map<number, StatementOf<'change'>[]>();
  readonly holds: Holds;
  readonly #report: Report;
  readonly #selection: Selection;
  readonly #kind: Kind;
  readonly #coverage: StatedCoverage;
  /** By kind and id: no text is made for each event. */
  readonly #numbers = new Map<string, Map<string, number>>();
  #last: Pick<AnyStatement, 'index' | 'at' | 'type'> | undefined;

  constructor(report: Report, selection: Selection, coverage: StatedCoverage) {
    this.#report = report;
    this.#selection = selection;
    this.#kind = kindOf(selection);
    this.#coverage = coverage;
    this.holds = new Holds(report);
  }

  /** The leaf that ends the log, if it is the last statement so far: none but a begin follows. */
  get endedAt(): number | undefined {
    return this.#last?.type === 'end' ? this.#last.index : undefined;
  }

  /** Undefined: no statement has given it one. */
  numberOf(kind: string, id: string): number | undefined {
    return this.#numbers.get(kind)?.get(id);
  }

  /** The key that must have signed a tree of this size. */
  keyAt(size: number): string | undefined {
    return this.keys.findLast(({ index }) => index < size)?.key;
  }

  take(text: string): void {
    const read = this.#report.attempt('leaves', `behind leaf ${this.#last?.index ?? 'none'}`, () =>
      readStatement(text),
    );
    if (read === undefined) return;
    const { statement } = read;
    const { index, type, source: number } = statement;
    if (index <= (this.#last?.index ?? -1)) {
      this.#fault(statement, 'does not stand after the one before');
      return;
    }
    if (this.#last === undefined && (type !== 'begin' || index !== 0))
      this.#fault(statement, 'is the first, and no begin that is leaf 0');
    if (this.endedAt !== undefined && (type !== 'begin' || index !== this.endedAt + 1))
      this.#fault(statement, 'follows the end of the log');
    if (this.#last !== undefined && statement.at < this.#last.at)
      this.#report.say(`the clock goes back at statement ${index}`);
    this.#last = statement;
    this.#judgeNumber(statement);
    if (read.known) this.#judge(read.statement);
    else this.#report.say(`statement ${index} is of a type that this verifier does not know: ${type}`);
    const counts = read.known && read.statement.type === 'coverage' ? countsOf(read.statement) : undefined;
    this.leaves.push({ index, hash: leafHash(statementLeaf(text)), number, counts });
  }

  #fault({ index, type }: Pick<AnyStatement, 'index' | 'type'>, what: string): void {
    this.#report.fault('leaves', `statement ${index} (${type}) ${what}`);
  }

  #judgeNumber(statement: AnyStatement): void {
    const { index, type, source: number } = statement;
    const isOfLog = ['begin', 'drop', 'key', 'end'].includes(type);
    const isOfSource = ['source', 'coverage', 'change'].includes(type);
    if ((isOfLog && number !== 0) || (isOfSource && number === 0))
      this.#fault(statement, `cannot be of number ${number}`);
    if (type !== 'source' && number !== 0 && !this.sources.has(number))
      this.#fault(statement, `is of number ${number}, which no statement before gives`);
    const { source } = this.#selection;
    const isShown = number === 0 || (this.#kind === 'search' ? isOfSource : source === null || number === source);
    if (!isShown) this.#report.fault('complete', `statement ${index} (${type}) is not of the selection`);
  }

  #judge(statement: Statement): void {
    const { type, index } = statement;
    if (type === 'begin') this.#begin(statement);
    else if (type === 'source') this.#source(statement);
    else if (type === 'coverage') this.#coverage.take(statement, this.begins[0]);
    else if (type === 'drop') this.holds.drop(statement);
    else if (type === 'hold') this.holds.take(statement);
    else if (type === 'key') this.#key(statement);
    else if (type === 'note' && statement.about === 'clock')
      this.#report.say(`not claimed: what statements say of when, beyond the clock of the database (note ${index})`);
    else if (type === 'change') {
      if (statement.event >= index) this.#fault(statement, 'is of an event that does not stand before it');
      else this.changes.set(statement.event, [...(this.changes.get(statement.event) ?? []), statement]);
    }
  }

  #source(statement: StatementOf<'source'>): void {
    const { number, source, kind, id, index } = statement;
    if (number !== source) this.#fault(statement, `gives number ${number}, and is of ${source}`);
    if (this.sources.has(number) || this.numberOf(kind, id) !== undefined) {
      this.#fault(statement, 'gives a number again');
      return;
    }
    this.sources.set(number, { kind, id, index });
    this.#numbers.set(kind, (this.#numbers.get(kind) ?? new Map()).set(id, number));
  }

  #begin(statement: StatementOf<'begin'>): void {
    const { index, number, base, feed_id: feedId, key, carried, previous } = statement;
    const before = previous === null ? undefined : this.#checkpointOf(statement, previous);
    const [first, last] = [this.begins[0], this.begins.at(-1)];
    const fault = (when: boolean, what: string) => when && this.#fault(statement, what);
    fault(statement.format !== 2, 'is of another format');
    fault((previous === null) !== (number === 1), 'names a log before the first, or none before a later one');
    fault(this.stolenKeys.has(key), 'begins with a key that was compromised');
    fault(index === 0 && carried !== 0, 'carries leaves, and is leaf 0');
    fault(carried > index, 'carries leaves that do not stand before it');
    fault(last !== undefined && number <= last.number, `has number ${number} after ${last?.number}`);
    fault(first !== undefined && (first.base !== base || first.feed_id !== feedId), 'is of another feed');
    fault(first !== undefined && statement.adopted_position > first.adopted_position, 'adopts events');
    if (before !== undefined) {
      fault(carried > before.size, 'carries more leaves than the log before had');
      const m = logNumber(before.origin, statement);
      fault(m === undefined || m >= number, 'does not follow the log that it names');
      const lost = before.size - carried;
      if (lost > 0)
        this.#report.first.push(
          `log ${number} since ${statement.at.slice(0, 10)}: ${lost} leaves of log ${m} are lost, as stated${lostHolds(statement)}`,
        );
    }
    this.begins.push({ ...statement, before });
    this.keys.push({ index, key, number });
  }

  #checkpointOf(statement: AnyStatement, note: string): Checkpoint | undefined {
    const checkpoint = unlessFault(() => parseCheckpoint(parseNote(Buffer.from(note)).text));
    if (checkpoint === undefined) this.#fault(statement, 'names no checkpoint of the log before');
    return checkpoint;
  }

  #key(statement: StatementOf<'key'>): void {
    const { index, old, new: next, reason } = statement;
    if (this.keys.at(-1)?.key !== old) this.#fault(statement, 'replaces a key that is not in force');
    if (this.keys.some(({ key }) => key === next)) this.#fault(statement, 'brings back a key');
    if (reason === 'compromised') this.stolenKeys.add(old);
    this.keys.push({ index, key: next, number: this.keys.at(-1)?.number ?? 0 });
  }
}

const countsOf = ({ leaves, events, chain, log_leaves, log_chain }: StatementOf<'coverage'>) => ({
  own: [leaves, events, chain].join(' '),
  log: [log_leaves, log_chain].join(' '),
});

const lostHolds = ({ lost_holds: holds }: StatementOf<'begin'>): string => {
  if (holds === null) return '; whether holds are lost with them is not known';
  return holds.length === 0 ? '' : `, and with them the holds ${holds.join(', ')}`;
};

/** The number of a log of this feed; undefined for another origin. */
export const logNumber = (
  origin: string,
  { base, feed_id: feedId }: Pick<Begin, 'base' | 'feed_id'>,
): number | undefined => {
  const prefix = `${base}/${feedId}.`;
  const digits = origin.startsWith(prefix) ? origin.slice(prefix.length) : '';
  return /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : undefined;
};
