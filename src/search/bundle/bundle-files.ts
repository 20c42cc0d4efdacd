import { SearchError } from '../../errors.ts';
import { sha256 } from '../../evidence/crypto/sha256.ts';
import { linesOf } from '../../evidence/files/file-lines.ts';
import type { FoundReader } from '../../evidence/verify/found/verify-found.ts';

/** A file that is being written; it copies what it is given. */
interface BundleFile {
  write(bytes: Uint8Array): void;
  end(): void;
}

/** Where a bundle is written to: a folder, or memory. */
export interface BundleFiles {
  open(path: string): BundleFile;
  write(path: string, bytes: Uint8Array): void;
  /** Of all that is written, by path, in hexadecimal digits. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** A bundle in memory, for an answer that is whole or does not begin. Throws SearchError `refused` beyond so many bytes. */
export class MemoryFiles implements BundleFiles {
  readonly #files = new Map<string, Buffer[]>();
  readonly #hashes = new Map<string, string>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get hashes(): ReadonlyMap<string, string> {
    return this.#hashes;
  }

  /** In the order in which they were written. */
  get files(): ReadonlyMap<string, readonly Buffer[]> {
    return this.#files;
  }

  open(path: string): BundleFile {
    const pieces: Buffer[] = [];
    this.#files.set(path, pieces);
    return {
      write: (bytes) => {
        this.#bytes += bytes.length;
        if (this.#bytes > this.#maxBytes) throw new SearchError('refused', tooLarge(this.#maxBytes));
        pieces.push(Buffer.from(bytes));
      },
      end: () => void this.#hashes.set(path, sha256(Buffer.concat(pieces)).toString('hex')),
    };
  }

  write(path: string, bytes: Uint8Array): void {
    const file = this.open(path);
    file.write(bytes);
    file.end();
  }

  reader(): FoundReader {
    const piecesOf = (path: string) => this.#files.get(path) ?? [];
    return {
      paths: [...this.#files.keys()],
      hashes: this.#hashes,
      read: (path) => (this.#files.has(path) ? Buffer.concat(piecesOf(path)) : undefined),
      lines: (path) => linesOf(piecesOf(path)),
    };
  }
}

const tooLarge = (bytes: number): string =>
  `the bundle would be larger than ${Math.floor(bytes / 1_048_576)} MB: search less, or write it with orgtrail search … --bundle FILE.zip`;
