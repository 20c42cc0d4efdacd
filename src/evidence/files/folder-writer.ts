import { createHash, type Hash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { constants, crc32, deflateRawSync } from 'node:zlib';
import { codeOf, OrgtrailError } from '../../base/errors.ts';
import { packageFile } from '../../base/package-files.ts';
import { sha256 } from '../bytes.ts';

const BLOCK_BYTES = 1_048_576;
/** For its owner alone, whatever the umask: it has all events. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Writes beside the target, and renames at the end: what is interrupted leaves nothing that looks whole. */
export class FolderWriter {
  readonly folder: string;
  readonly #target: string;
  /** SHA-256 in hex by path. */
  readonly hashes = new Map<string, string>();
  readonly #folders = new Set<string>();
  /** Of all files. */
  bytes = 0;

  /** Throws OrgtrailError `usage` if the target is not empty, or cannot be written to. */
  constructor(target: string) {
    this.#target = resolve(target);
    requireNothing(this.#target);
    this.folder = join(
      dirname(this.#target),
      `.${basename(this.#target)}.unfinished-${randomBytes(4).toString('hex')}`,
    );
    inFolder(this.folder, () => {
      mkdirSync(dirname(this.folder), { recursive: true });
      mkdirSync(this.folder, { mode: FOLDER_MODE });
    });
  }

  write(path: string, bytes: Uint8Array): void {
    writeFileSync(this.#fileOf(path), bytes, { mode: FILE_MODE });
    this.#note(path, sha256(bytes).toString('hex'), bytes.length);
  }

  open(path: string, isPacked = false): FileWriter {
    return new FileWriter(this.#fileOf(path), isPacked, (hash, bytes) => this.#note(path, hash, bytes));
  }

  finish(): void {
    inFolder(this.#target, () => renameSync(this.folder, this.#target));
  }

  /** Nothing after `finish`. */
  discard(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #fileOf(path: string): string {
    const file = join(this.folder, path);
    const folder = dirname(file);
    if (!this.#folders.has(folder)) mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
    this.#folders.add(folder);
    return file;
  }

  #note(path: string, hash: string, bytes: number): void {
    this.hashes.set(path, hash);
    this.bytes += bytes;
  }
}

export class FileWriter {
  readonly #descriptor: number;
  readonly #hash: Hash = createHash('sha256');
  readonly #gzip: GzipBlocks | undefined;
  readonly #onEnd: (hash: string, bytes: number) => void;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #used = 0;
  #bytes = 0;

  constructor(file: string, isPacked: boolean, onEnd: (hash: string, bytes: number) => void) {
    this.#descriptor = openSync(file, 'wx', FILE_MODE);
    this.#gzip = isPacked ? new GzipBlocks() : undefined;
    this.#onEnd = onEnd;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(bytes.length - at, BLOCK_BYTES - this.#used);
      this.#block.set(bytes.subarray(at, at + length), this.#used);
      this.#used += length;
      at += length;
      if (this.#used === BLOCK_BYTES) this.#flush();
    }
  }

  end(): void {
    this.#flush();
    if (this.#gzip !== undefined) this.#put(this.#gzip.end());
    this.close();
    this.#onEnd(this.#hash.digest('hex'), this.#bytes);
  }

  /** After a failure. */
  close(): void {
    closeSync(this.#descriptor);
  }

  #flush(): void {
    if (this.#used === 0) return;
    const block = this.#block.subarray(0, this.#used);
    this.#put(this.#gzip === undefined ? block : this.#gzip.pack(block));
    this.#used = 0;
  }

  #put(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
  }
}

const requireNothing = (folder: string): void => {
  let names: readonly string[] = [];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw cannotBeWritten(folder, error);
  }
  if (names.length > 0) {
    throw new OrgtrailError('usage', `${folder} is not empty`, { hint: 'name a folder that does not exist yet' });
  }
};

const inFolder = (folder: string, act: () => void): void => {
  try {
    act();
  } catch (error) {
    throw cannotBeWritten(folder, error);
  }
};

const cannotBeWritten = (folder: string, error: unknown): OrgtrailError =>
  new OrgtrailError('usage', `${folder} cannot be made (${codeOf(error) ?? 'unknown'})`, {
    hint: 'name a folder that does not exist yet, in one that you may write to: it gets its name once all of it is there',
    cause: error,
  });

/** RFC 1952: deflate, no flags, no time, an unknown system. So the same content gives the same file. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
const MODULUS = 2 ** 32;

/** Packs each block by itself into one gzip member, which every reader knows. No stream: rows of COPY do not wait. */
class GzipBlocks {
  #crc = 0;
  #bytes = 0;

  /** With the header if it is the first. */
  pack(block: Uint8Array): Buffer {
    const header = this.#bytes === 0 ? [HEADER] : [];
    this.#crc = crc32(block, this.#crc);
    this.#bytes += block.length;
    return Buffer.concat([...header, deflateRawSync(block, { finishFlush: constants.Z_SYNC_FLUSH })]);
  }

  end(): Buffer {
    const header = this.#bytes === 0 ? [HEADER] : [];
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(this.#crc);
    trailer.writeUInt32LE(this.#bytes % MODULUS, 4);
    return Buffer.concat([...header, deflateRawSync(Buffer.alloc(0)), trailer]);
  }
}

/** Beside its tests in a checkout, in dist/ in a package or image. */
const packaged = (name: string): string => {
  const source = packageFile(`src/evidence/verify-bundle/${name}`);
  return existsSync(source) ? source : packageFile(`dist/${name}`);
};

export const verifierFile: string = packaged('verify.py');
export const formatFile: string = packaged('FORMAT.txt');
