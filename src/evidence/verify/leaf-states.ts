import type { LeafList } from '../bundle/layout.ts';
import { unitedPositions } from '../journal/ranges.ts';
import type { PositionRange, StatementOf } from '../journal/statement.ts';
import { type EventLeaf, NO_SOURCE } from '../leaf.ts';
import type { Report } from './report.ts';

const states = { absent: 0, present: 1, hole: 2, dropped: 3, faulty: 4, hidden: 5, withheld: 6, unshown: 7 } as const;
/** `hole`: never an event. `faulty`: another payload. `hidden`: of another source. Of a time: `withheld` data, `unshown` hash. */
export type LeafState = keyof typeof states;
const names = Object.keys(states) as LeafState[];

/** Three bytes for each leaf, so that millions fit. */
export class LeafStates {
  readonly #states: Uint8Array;
  readonly #sources: Uint16Array;

  constructor(size: number) {
    this.#states = new Uint8Array(size);
    this.#sources = new Uint16Array(size);
  }

  get size(): number {
    return this.#states.length;
  }

  stateOf(index: number): LeafState {
    return names[this.#states[index] ?? 0] ?? 'absent';
  }

  /** `NO_SOURCE`: not known, or a hole. */
  sourceOf(index: number): number {
    return this.#sources[index] ?? NO_SOURCE;
  }

  hideOthers(listed: LeafList): void {
    this.#states.fill(states.hidden);
    for (let place = 0; place < listed.count; place += 1) this.set(listed.indexAt(place), 'absent');
  }

  set(index: number, state: LeafState, source = NO_SOURCE): void {
    this.#states[index] = states[state];
    this.#sources[index] = source;
  }

  /** Unsigned: believed until the chain is compared. */
  believeSource(index: number, source: number): void {
    const state = this.stateOf(index);
    if (state === 'dropped' || state === 'unshown') this.set(index, state, source);
  }

  count(state: LeafState): number {
    return this.countFrom(0, state);
  }

  countFrom(first: number, state: LeafState): number {
    let count = 0;
    for (const one of this.#states.subarray(first)) if (one === states[state]) count += 1;
    return count;
  }

  /** The leaves of these positions, each once. */
  *indexesIn(ranges: readonly PositionRange[]): Generator<number> {
    for (const [from, to] of unitedPositions(ranges))
      for (let index = from - 1; index < Math.min(to - 1, this.size); index += 1) yield index;
  }

  /** Of these positions, from the leaf `first` on. */
  countIn(ranges: readonly PositionRange[], wanted: readonly LeafState[], first = 0): number {
    let count = 0;
    for (const index of this.indexesIn(ranges)) if (index >= first && wanted.includes(this.stateOf(index))) count += 1;
    return count;
  }
}

export class SourceNumbers {
  readonly #byKey = new Map<string, number>();
  readonly #numbers = new Set<number>();

  /** What is stated twice is a fault: a leaf would have two sources. */
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

  find(kind: string, id: string): number {
    return this.#byKey.get(keyOf(kind, id)) ?? NO_SOURCE;
  }

  /** A fault if it has not been stated. */
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
