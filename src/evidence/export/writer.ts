import { LEAVES_PER_FILE, leavesFile } from '../bundle/layout.ts';
import { writeRecord } from '../bundle/records.ts';
import { perfectRoot, TILE_WIDTH } from '../tree/tiles.ts';

/** Where a bundle is written to. */
export interface BundleWriter {
  open(path: string, isPacked?: boolean): { write(bytes: Uint8Array): void; end(): void; close?(): void };
  write(path: string, bytes: Uint8Array): void;
  /** By path, in hexadecimal. */
  readonly hashes: ReadonlyMap<string, string>;
}

export interface RecordOptions {
  readonly isPacked: boolean;
  /** Of a stored tile of the tree. */
  readonly hashesOf: (level: number, n: number) => Uint8Array;
  /** A root ends at each of these indexes. */
  readonly splits: Iterable<number>;
}

/** Writes records in the order of leaves; what is passed over goes under roots. */
export class RecordWriter {
  readonly #writer: BundleWriter;
  readonly #options: RecordOptions;
  /** Ascending. */
  readonly #splits: readonly number[];
  #at = 0;
  #nextSplit = 0;
  #number = -1;
  #file: ReturnType<BundleWriter['open']> | undefined;

  constructor(writer: BundleWriter, options: RecordOptions) {
    this.#writer = writer;
    this.#options = options;
    this.#splits = [...new Set(options.splits)].sort((a, b) => a - b);
  }

  /** Which has no record. */
  statement(index: number): void {
    this.hide(index);
    this.#at += 1;
  }

  /** Records of one leaf. */
  leaf(index: number, ...records: readonly Buffer[]): void {
    this.hide(index);
    const file = this.#fileOf(index);
    for (const record of records) file.write(record);
    this.#at += 1;
  }

  /** Leaves up to this one go under the fewest roots. */
  hide(to: number): void {
    while (this.#at < to) {
      while ((this.#splits[this.#nextSplit] ?? to) <= this.#at && this.#nextSplit < this.#splits.length)
        this.#nextSplit += 1;
      const end = Math.min(to, this.#splits[this.#nextSplit] ?? to);
      let height = 0;
      while (this.#at % 2 ** (height + 1) === 0 && this.#at + 2 ** (height + 1) <= end) height += 1;
      this.#fileOf(this.#at).write(writeRecord({ kind: 'S', height, hash: this.#rootOf(this.#at, height) }));
      this.#at += 2 ** height;
    }
  }

  end(): void {
    const file = this.#file;
    this.#file = undefined;
    file?.end();
  }

  /** After a failure. */
  close(): void {
    this.#file?.close?.();
  }

  #rootOf(index: number, height: number): Buffer {
    const level = Math.floor(height / 8);
    const place = index / TILE_WIDTH ** level;
    const hashes = this.#options.hashesOf(level, Math.floor(place / TILE_WIDTH));
    return perfectRoot(hashes, place % TILE_WIDTH, 2 ** (height - 8 * level));
  }

  #fileOf(index: number): ReturnType<BundleWriter['open']> {
    const number = Math.floor(index / LEAVES_PER_FILE);
    if (this.#file !== undefined && number === this.#number) return this.#file;
    this.end();
    this.#number = number;
    this.#file = this.#writer.open(leavesFile(number, this.#options.isPacked), this.#options.isPacked);
    return this.#file;
  }
}
