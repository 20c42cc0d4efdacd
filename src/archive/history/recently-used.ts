/** Keeps what was made, the most recently used of it. Those who ask at the same time share one making; one that fails is not kept. */
export class RecentlyUsed<K, V> {
  readonly #entries = new Map<K, { readonly value: Promise<V>; weight: number }>();
  readonly #maxWeight: number;
  readonly #weigh: (value: V) => number;

  /** One always stays, however much it weighs. */
  constructor(maxWeight: number, weigh: (value: V) => number = () => 1) {
    this.#maxWeight = maxWeight;
    this.#weigh = weigh;
  }

  get(key: K, make: () => Promise<V>): Promise<V> {
    const found = this.#entries.get(key);
    if (found !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, found);
      return found.value;
    }
    const entry = { value: make(), weight: 0 };
    this.#entries.set(key, entry);
    entry.value.then(
      (value) => {
        entry.weight = this.#weigh(value);
        this.#trim();
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    return entry.value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value: Promise.resolve(value), weight: this.#weigh(value) });
    this.#trim();
  }

  #trim(): void {
    let weight = 0;
    for (const entry of this.#entries.values()) weight += entry.weight;
    for (const [key, entry] of this.#entries) {
      if (weight <= this.#maxWeight || this.#entries.size === 1) return;
      weight -= entry.weight;
      this.#entries.delete(key);
    }
  }
}
