import type { Dice } from './dice.ts';

/** A process whose events the scheduler holds back while it is paused, and drops once it is dead. */
export interface Actor {
  readonly name: string;
  readonly dead: boolean;
  readonly pausedUntilMs: number;
}

export interface ScheduledEvent {
  readonly timeMs: number;
  /** Among events of the same time the smaller comes first; drawn, so that their order is not fixed. */
  readonly tie: number;
  readonly label: string;
  readonly actor: Actor | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

/** No seed needs more: a run that gets here does not end. */
const MAX_EVENTS = 1_000_000;

/**
 * Owns all of time. One event runs after the other, each only after everything that the last one set going has come to
 * rest; which is next is a matter of drawn delays. The hash is that of the whole history: same seed, same hash.
 */
export class VirtualScheduler {
  readonly dice: Dice;
  readonly lines: string[] | undefined;
  nowMs: number;
  hash = 0x811c9dc5;
  events = 0;
  readonly #heap: ScheduledEvent[] = [];
  readonly #listening = new Map<() => void, AbortSignal>();
  readonly #startMs: number;

  constructor(dice: Dice, startMs: number, tracing: boolean) {
    this.dice = dice;
    this.nowMs = startMs;
    this.#startMs = startMs;
    this.lines = tracing ? [] : undefined;
  }

  after(delayMs: number, label: string, run: () => void, actor?: Actor): ScheduledEvent {
    const event = { timeMs: this.nowMs + delayMs, tie: this.dice.next(), label, actor, run, cancelled: false };
    this.#push(event);
    return event;
  }

  at(timeMs: number, label: string, run: () => void, actor?: Actor): ScheduledEvent {
    return this.after(Math.max(0, timeMs - this.nowMs), label, run, actor);
  }

  /** Calls this when the signal aborts, until `unlisten`. */
  listen(signal: AbortSignal, listener: () => void): void {
    signal.addEventListener('abort', listener, { once: true });
    this.#listening.set(listener, signal);
  }

  unlisten(listener: () => void): void {
    this.#listening.get(listener)?.removeEventListener('abort', listener);
    this.#listening.delete(listener);
  }

  /** Node keeps a signal that combines others for as long as it has a listener, and with it all of this world. */
  end(): void {
    for (const listener of [...this.#listening.keys()]) this.unlisten(listener);
  }

  /** A line of the trace. Costs nothing if it is not read. */
  note(text: () => string): void {
    this.lines?.push(`${((this.nowMs - this.#startMs) / 1_000).toFixed(3).padStart(10)}  ${text()}`);
  }

  /** Events of an actor that are still to come. */
  pendingOf(actor: Actor): readonly string[] {
    return this.#heap.filter((event) => event.actor === actor && !event.cancelled).map((event) => event.label);
  }

  /** Runs events until `done` says so. False where there are too many, or none is left. */
  async runUntil(done: () => boolean): Promise<boolean> {
    while (!done()) {
      const event = this.#pop();
      if (event === undefined || this.events > MAX_EVENTS) return false;
      if (event.cancelled || event.actor?.dead === true) continue;
      this.nowMs = Math.max(this.nowMs, event.timeMs);
      const resumesAtMs = event.actor?.pausedUntilMs ?? 0;
      if (resumesAtMs > this.nowMs) {
        this.#defer(event, resumesAtMs);
        continue;
      }
      this.#record(event);
      event.run();
      // Ticks run only when no microtask is left.
      await new Promise<void>((resolve) => process.nextTick(resolve));
    }
    return true;
  }

  /** What a process missed while it was paused comes all at once, before anything else of that moment. */
  #defer(event: ScheduledEvent, resumesAtMs: number): void {
    const deferred = event as { -readonly [K in keyof ScheduledEvent]: ScheduledEvent[K] };
    deferred.timeMs = resumesAtMs;
    deferred.tie = this.dice.next() - 1;
    this.#push(deferred);
  }

  #record(event: ScheduledEvent): void {
    this.events += 1;
    const who = event.actor?.name ?? '';
    let hash = Math.imul(this.hash ^ (this.nowMs - this.#startMs), 0x01000193);
    for (let index = 0; index < event.label.length; index += 1) {
      hash = Math.imul(hash ^ event.label.charCodeAt(index), 0x01000193);
    }
    this.hash = Math.imul(hash ^ (who.codePointAt(who.length - 1) ?? 0), 0x01000193) >>> 0;
    this.note(() => `${who.padEnd(4)} ${event.label}`);
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent] as ScheduledEvent)) break;
      heap[index] = heap[parent] as ScheduledEvent;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): ScheduledEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as ScheduledEvent)) child += 1;
      if (!isBefore(heap[child] as ScheduledEvent, last)) break;
      heap[index] = heap[child] as ScheduledEvent;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

const isBefore = (a: ScheduledEvent, b: ScheduledEvent): boolean =>
  a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.tie < b.tie);
