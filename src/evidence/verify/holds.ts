import { microsecondsOf, timesOfMonth } from '../journal/instants.ts';
import { holdsAgainst, type StatementOf } from '../journal/statement.ts';
import type { Report } from './report.ts';

interface Drop {
  readonly statement: StatementOf<'drop'>;
  /** Of those of its leaves that are here as dropped. */
  readonly numbers: Set<number>;
}

/** Chapter 8: what was dropped, and the legal holds at that time. */
export class Holds {
  readonly #report: Report;
  readonly #holds: StatementOf<'hold'>[] = [];
  readonly #drops: Drop[] = [];
  readonly #ranges: { readonly from: number; readonly to: number; readonly drop: Drop }[] = [];
  /** Leaves come in order. */
  #place = 0;
  #kept = 0;

  constructor(report: Report) {
    this.#report = report;
  }

  /** Months, as a drop names them. */
  get months(): ReadonlySet<string> {
    return new Set(this.#drops.map(({ statement }) => statement.month));
  }

  take(statement: StatementOf<'hold'>): void {
    const { index, action, id, source } = statement;
    const before = this.#holds.filter((one) => one.id === id);
    const isInForce = before.length === 1 && before[0]?.source === source;
    if (action === 'added' ? before.length === 0 : isInForce) this.#holds.push(statement);
    else
      this.#report.fault(
        'drops',
        `statement ${index} says of hold ${id} that it is ${action}: it is so, or was not in force`,
      );
  }

  drop(statement: StatementOf<'drop'>): void {
    const { index, month, indexes, events } = statement;
    const fault = (what: string) => this.#report.fault('drops', `statement ${index}, which drops ${month}, ${what}`);
    const times = timesOfMonth(month);
    if (times === undefined) fault('is of no time: never old enough');
    else if (times[1] > (microsecondsOf(statement.older_than) ?? 0n)) fault('dropped it before it was old enough');
    if (statement.older_than > statement.dropped_at || statement.dropped_at > statement.at)
      fault('has times in the future');
    if (indexes.some(([, to]) => to > index)) fault('names leaves that do not stand before it');
    if (events !== indexes.reduce((sum, [from, to]) => sum + to - from, 0)) fault('counts other events than it names');
    const drop = { statement, numbers: new Set<number>() };
    this.#drops.push(drop);
    for (const [from, to] of indexes) this.#ranges.push({ from, to, drop });
  }

  /** Before the leaves, after the statements. */
  order(): void {
    this.#ranges.sort((one, other) => one.from - other.from);
    for (const [at, { from, drop }] of this.#ranges.entries())
      if (from < (this.#ranges[at - 1]?.to ?? 0))
        this.#report.fault('drops', `leaf ${from} is dropped again by statement ${drop.statement.index}`);
  }

  /** A leaf that is here: dropped, an event, a statement. Indexes ascend. */
  leaf(index: number, as: 'dropped' | 'event' | 'statement', number: number, timeUs?: bigint): void {
    while ((this.#ranges[this.#place]?.to ?? Number.POSITIVE_INFINITY) <= index) this.#place += 1;
    const range = this.#ranges[this.#place];
    const isInside = range !== undefined && range.from <= index;
    if (as === 'dropped') {
      if (isInside) range.drop.numbers.add(number);
      else this.#report.fault('drops', `leaf ${index} is gone, and no statement drops it`);
    } else if (isInside) {
      const month = timesOfMonth(range.drop.statement.month);
      if (as === 'event') {
        this.#kept += 1;
        if (month !== undefined && (timeUs === undefined || timeUs < month[0] || timeUs >= month[1]))
          this.#report.fault('drops', `leaf ${index} is of another month than its drop`);
      } else this.#report.fault('drops', `statement ${range.drop.statement.index} drops a statement: leaf ${index}`);
    }
  }

  end(): void {
    for (const drop of this.#drops) {
      const { index, month, events, retention, dropped_at: at, dropped_by: by } = drop.statement;
      this.#report.claim('drops', `${month}: ${events} events dropped at ${at} by ${by}, retention ${retention}`);
      const before = this.#holds.filter((hold) => hold.index < index);
      const { whole, part } = holdsAgainst(before, drop.statement, drop.numbers);
      for (const id of whole)
        this.#report.fault('drops', `statement ${index} drops ${month}, which hold ${id} was to keep`);
      for (const id of part) this.#report.say(`hold ${id} was of a part of ${month}, which was dropped`);
    }
    if (this.#kept > 0) this.#report.say(`${this.#kept} events are here although a statement drops them`);
    if (this.#drops.length === 0) this.#report.claim('drops', 'nothing was dropped');
  }
}
