import type { StatementOf } from '../journal/statement.ts';
import type { EventLeaf } from '../leaves/leaf.ts';
import { NO_SOURCE } from '../leaves/source-chain.ts';
import type { Report } from './report.ts';

/** Sources by the numbers that `source` statements give them. */
export class SourceNumbers {
  readonly #byKey = new Map<string, number>();
  readonly #numbers = new Set<number>();

  /** A source or a number that is stated twice is a fault: a leaf would have two sources. */
  constructor(report: Report, statements: readonly StatementOf<'source'>[]) {
    for (const { kind, id, number } of statements) {
      if (this.#byKey.has(keyOf(kind, id)) || this.#numbers.has(number)) {
        report.fault('source', `source ${number}, ${kind} ${id}, is stated twice`);
      }
      this.#byKey.set(keyOf(kind, id), number);
      this.#numbers.add(number);
    }
  }

  has(number: number): boolean {
    return this.#numbers.has(number);
  }

  /** `NO_SOURCE` if it has not been stated. */
  find(kind: string, id: string): number {
    return this.#byKey.get(keyOf(kind, id)) ?? NO_SOURCE;
  }

  /** Of an event; a fault if it has not been stated. */
  numberOf(report: Report, { sourceKind, sourceId, position }: EventLeaf): number {
    const number = this.find(sourceKind, sourceId);
    if (number === NO_SOURCE) {
      report.fault('source', `event ${position} is of ${sourceKind} ${sourceId}, which no statement names`, position);
    }
    return number;
  }
}

/** The length says where the id begins. */
const keyOf = (kind: string, id: string): string => `${kind.length}:${kind}${id}`;
