import type { Kind } from '../bundle/layout.ts';
import { sha256, sha256InPieces, textOf } from '../bytes.ts';
import {
  liesWithin,
  microsecondsOf,
  type RangeText,
  type RangeUs,
  rangeText,
  shared,
  united,
  usOf,
  without,
} from '../journal/instants.ts';
import { checked, type ReadLine, readLine, type StatementOf } from '../journal/statement.ts';
import { readStrictJson } from '../journal/strict-json.ts';
import type { Report } from './report.ts';

type Coverage = StatementOf<'coverage'>;

/** What a statement says of the rows that it counts. */
type StatedRows = Pick<Coverage, 'index' | 'source' | 'filter' | 'rows' | 'as_of'>;

/** Of one source and filter, as its last statement has it. */
interface Stated {
  readonly read: readonly RangeUs[];
  readonly adopted: readonly RangeUs[];
  /** Of this and all earlier statements. */
  readonly windows: readonly RangeUs[];
}

/** Of each list of a statement. */
const MAX_RANGES = 500;
const MAX_HOLES = 40;
const US_PER_DAY = 86_400_000_000n;
/** Lines of requests of older statements may be gone. */
const KEPT_US = 31n * US_PER_DAY;

/** Chapter 7: what is stated as read, and the requests behind it. */
export class StatedCoverage {
  /** The last statement of each source, by its number. */
  readonly last = new Map<number, Coverage>();
  readonly #report: Report;
  readonly #isSearch: boolean;
  readonly #stated = new Map<string, Stated>();
  readonly #rows: StatedRows[] = [];
  /** Of each source: its last row, and its newest `as_of`. */
  readonly #newest = new Map<number, { readonly last: number; readonly asOf: string }>();
  /** Where reads.ndjson is: the place in #rows, and what has been read of it. */
  #at = 0;
  #taken = nothingTaken();

  constructor(report: Report, kind: Kind) {
    this.#report = report;
    this.#isSearch = kind === 'search';
  }

  take(statement: Coverage, first: StatementOf<'begin'> | undefined): void {
    const { index, source, filter, as_of: asOf, holes } = statement;
    const fault = (when: boolean, what: string) =>
      when && this.#report.fault('reads', `statement ${index}, coverage of source ${source}, ${what}`);
    const [read, again, adopted] = [usOf(statement.read), usOf(statement.again), usOf(statement.adopted)];
    const lists = [read, again, adopted, statement.rows.windows];
    fault(
      lists.some(({ length }) => length > MAX_RANGES) || holes.length > MAX_HOLES,
      'has more ranges or holes than one can have',
    );
    fault(
      statement.read.some(([, to]) => to > asOf),
      'has read what lies beyond as_of',
    );
    fault(asOf > statement.at, 'is as of a time after it was made');
    fault(!liesWithin(again, read), 'has read a second time what it has not read');
    fault(
      holes.some(({ range }) => shared(usOf([range]), read).length > 0),
      'has holes within what it has read',
    );
    fault(this.#isSearch && this.last.has(source), 'is not the last one of its source alone');
    this.last.set(source, statement);
    if (this.#isSearch) return;
    const key = `${source} ${filter.hash}`;
    const before = this.#stated.get(key);
    const windows = united([...(before?.windows ?? []), ...usOf(statement.rows.windows)]);
    fault(before !== undefined && !liesWithin(before.read, read), 'has not read what the one before had');
    fault(!liesWithin(read, united([...adopted, ...windows])), 'has read what was not asked for');
    fault(
      first !== undefined && statement.adopted.some(([, to]) => to > first.at),
      'adopts what is younger than the log',
    );
    fault(before !== undefined && !liesWithin(adopted, before.adopted), 'adopts more than the one before');
    fault(first?.adopted_position === 0 && adopted.length > 0, 'adopts, and no event is older than the log');
    this.#stated.set(key, { read, adopted, windows });
    this.#countRows(statement, fault);
  }

  #countRows(stated: StatedRows, fault: (when: boolean, what: string) => void): void {
    const { index, source, filter, rows, as_of } = stated;
    const before = this.#newest.get(source);
    const asOf = before !== undefined && before.asOf > as_of ? before.asOf : as_of;
    this.#newest.set(source, { last: rows.last, asOf });
    fault(
      rows.first !== (before?.last ?? 0) + 1 || rows.last < rows.first - 1,
      'counts requests that do not follow those before',
    );
    if (rows.last < rows.first)
      fault(rows.windows.length > 0 || rows.sha256 !== EMPTY_SHA256, 'says something of requests, and counts none');
    this.#rows.push({ index, source, filter, rows, as_of });
  }

  /** A line of reads.ndjson, without its end: after all statements, in order. */
  takeLine(line: Buffer): void {
    const row = this.#report.attempt('reads', 'reads.ndjson', () =>
      checked(readLine, readStrictJson(textOf(line, 'a line'), 'a line'), 'a line'),
    );
    if (row === undefined) return;
    const isNext = () => {
      const { source, rows } = this.#rows[this.#at] ?? {};
      return (
        source === row.source &&
        row.number === (rows?.first ?? 0) + this.#taken.count &&
        row.number <= (rows?.last ?? 0)
      );
    };
    while (!isNext() && this.#at < this.#rows.length) this.#endRows();
    const stated = this.#rows[this.#at];
    if (stated === undefined) {
      this.#report.fault(
        'reads',
        `reads.ndjson: request ${row.number} of source ${row.source} is of no statement here, or not in order`,
      );
      return;
    }
    this.#taken.count += 1;
    this.#taken.hash.update(line).update(lineEnd);
    const window = windowOf(row);
    if (row.filter_hash === stated.filter.hash && window !== undefined) this.#taken.windows.push(window);
    // The first statement of a source may count as many requests as there were.
    if (this.#taken.windows.length > MOST_WINDOWS) this.#taken.windows = united(this.#taken.windows);
  }

  #endRows(): void {
    const { count, hash, windows } = this.#taken;
    const stated = this.#rows[this.#at];
    this.#at += 1;
    this.#taken = nothingTaken();
    if (stated === undefined || stated.rows.last < stated.rows.first) return;
    const { index, source, rows, as_of: asOf } = stated;
    const fault = (what: string) => this.#report.fault('reads', `statement ${index}: its requests ${what}`);
    const ageUs = (microsecondsOf(this.#newest.get(source)?.asOf ?? asOf) ?? 0n) - (microsecondsOf(asOf) ?? 0n);
    if (count === 0) {
      if (ageUs <= KEPT_US) fault('are not here, and are not old enough to be gone');
    } else if (count !== rows.last - rows.first + 1) fault('are not all here');
    else if (hash.digest('hex') !== rows.sha256) fault('are not those that it counted');
    else if (!isSaid(united(windows).map(String), usOf(rows.windows).map(String)))
      fault('asked for other times than it says');
  }

  /** After the last line. */
  end(nameOf: (number: number) => string): void {
    while (this.#at < this.#rows.length) this.#endRows();
    for (const [source, statement] of this.last) this.#claim(nameOf(source), statement);
    if (this.last.size === 0) this.#report.claim('reads', 'no statement says what was read');
  }

  #claim(name: string, statement: Coverage): void {
    const { read, again, adopted, wanted_since: since, as_of: asOf, left_out: leftOut } = statement;
    const holes = statement.holes.map(({ range }) => range);
    const wanted: RangeText[] = since !== null && since < asOf ? [[since, asOf]] : [];
    const lists = {
      read: usOf(read),
      'read again': usOf(again),
      'not read': without(usOf(wanted), united(usOf([...read, ...holes]))),
      'cannot be had': usOf(holes),
      "adopted, the operator's word alone": usOf(adopted),
    };
    const texts = Object.entries(lists).flatMap(([word, ranges]) => {
      const more = ranges.length > MAX_LISTED ? ` and ${ranges.length - MAX_LISTED} more` : '';
      return ranges.length === 0 ? [] : [`${word}: ${ranges.slice(0, MAX_LISTED).map(rangeText).join(', ')}${more}`];
    });
    if (adopted.length === 0 && !this.#isSearch) texts.push('asked for, from the first day on');
    if (leftOut.ranges + leftOut.holes > 0)
      texts.push(`${leftOut.ranges} more ranges and ${leftOut.holes} holes are not stated`);
    const filter = statement.filter.text === '' ? '' : ` by the filter ${statement.filter.text}`;
    this.#report.claim('reads', `${name}${filter}, as of ${asOf}: ${texts.join('; ')}`);
  }
}

/** Of more windows than a statement can have, some are left out. */
const isSaid = (asked: readonly string[], said: readonly string[]): boolean =>
  said.length === Math.min(asked.length, MAX_RANGES) && said.every((window) => asked.includes(window));

const MAX_LISTED = 8;
const lineEnd = Buffer.from('\n');
const MOST_WINDOWS = 10_000;
const nothingTaken = () => ({ count: 0, hash: sha256InPieces(), windows: [] as RangeUs[] });
const EMPTY_SHA256 = sha256(new Uint8Array()).toString('hex');

/** No further than the answers' own clock reached. Undefined: it counts for nothing. */
const windowOf = ({ since, before, first_date: first, last_date: last }: ReadLine): RangeUs | undefined => {
  if (first === null || last === null) return undefined;
  const [to = before] = [before, first, last].sort();
  const [range] = usOf([[since, to]]);
  return since < to ? range : undefined;
};
