/** How a call ended for one item; 'alone': as if it had not been in it. */
export type Outcome<Result> = { readonly result: Result } | 'alone';

export interface GatheringOptions<Item, Result> {
  /** One call for all, with an outcome for each. If it rejects, all have failed. */
  together(items: readonly Item[]): Promise<readonly Outcome<Result>[]>;
  alone(item: Item): Promise<Result>;
  /** Its share of a call, which has room for 1. An item of more than half goes by itself. */
  weightOf(item: Item): number;
  /** Calls at once, beside those of heavy items; other items wait. */
  readonly maxCalls: number;
  /** A call that takes longer does not hold up what waits. */
  readonly slowCallMs: number;
}

/** Two heavier ones gain nothing by each other. */
const MOST_TOGETHER = 0.5;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result | Promise<Result>) => void;
  readonly reject: (error: unknown) => void;
}

/** An item is begun at once while there are calls to spare; what comes while all are under way goes with the first that
 * ends, in order. Nothing waits for others to come. */
export class Gathering<Item, Result> {
  readonly #options: GatheringOptions<Item, Result>;
  readonly #waiting: Waiting<Item, Result>[] = [];
  #calls = 0;

  constructor(options: GatheringOptions<Item, Result>) {
    this.#options = options;
  }

  add(item: Item): Promise<Result> {
    if (this.#options.weightOf(item) > MOST_TOGETHER) return this.#options.alone(item);
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ item, resolve, reject });
    this.#pump();
    return promise;
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#calls < this.#options.maxCalls) void this.#call(this.#next());
  }

  #next(): readonly Waiting<Item, Result>[] {
    let weight = 0;
    let count = 0;
    for (const { item } of this.#waiting) {
      weight += this.#options.weightOf(item);
      if (count > 0 && weight > 1) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #call(items: readonly Waiting<Item, Result>[]): Promise<void> {
    const release = this.#take();
    const { together, alone } = this.#options;
    const [first] = items;
    if (items.length === 1 && first !== undefined) {
      await alone(first.item).then(first.resolve, first.reject);
      release();
      return;
    }
    try {
      const outcomes = await together(items.map(({ item }) => item));
      for (const [index, { item, resolve }] of items.entries()) {
        const outcome = outcomes[index] ?? 'alone';
        resolve(outcome === 'alone' ? alone(item) : outcome.result);
      }
    } catch (error) {
      for (const { reject } of items) reject(error);
    }
    release();
  }

  #take(): () => void {
    this.#calls += 1;
    let isCounted = true;
    const release = (): void => {
      clearTimeout(timer);
      if (!isCounted) return;
      isCounted = false;
      this.#calls -= 1;
      this.#pump();
    };
    const timer = setTimeout(release, this.#options.slowCallMs);
    timer.unref();
    return release;
  }
}
