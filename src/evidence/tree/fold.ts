import { emptyRoot, nodeHash } from './tiles.ts';

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
