import { createHash } from 'node:crypto';
import { closeSync, createReadStream, type Dirent, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { OrgtrailError } from '../../base/errors.ts';
import { bundleFiles } from '../bundle/layout.ts';
import type { PayloadPieces } from '../verify/payload.ts';
import type { Report } from '../verify/report.ts';
import { type VerifierOptions, verificationOf } from '../verify/verify-bundle.ts';
import type { FoundReader } from '../verify/verify-found.ts';

interface ReadFolderOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onHashed?: (bytes: number) => void;
}

type FolderReader = Awaited<ReturnType<typeof openFolder>>;

const PACKED = '.gz';
const PIECE_BYTES = 1_048_576;

/** Hashes every file if there is a README.txt. Throws OrgtrailError `usage` for what cannot be read as a folder. */
export const openFolder = async (folder: string, options: ReadFolderOptions = {}) => {
  const { names, others } = contentsOf(folder);
  const nameOf = new Map([...names].map((name) => [pathOf(name, names), name]));
  const fileOf = (path: string) => {
    const name = nameOf.get(path) ?? path;
    return { file: join(folder, name), isPacked: name !== path };
  };
  const hashes = names.has(bundleFiles.readme) ? await hashAll(folder, names, options) : undefined;
  return {
    paths: [...nameOf.keys()],
    others,
    ...(hashes && { hashes }),
    /** Payload may be packed. */
    fileOf,
    read: (path: string) => (nameOf.has(path) ? readFileSync(fileOf(path).file) : undefined),
  };
};

/** What a link leads to is not in the bundle, and a pipe may never end: only files are read. */
const contentsOf = (folder: string): { readonly names: ReadonlySet<string>; readonly others: readonly string[] } => {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const namesOf = (some: readonly Dirent[]): string[] =>
      some.map(({ parentPath, name }) => relative(folder, join(parentPath, name)).replaceAll(sep, '/')).sort();
    // The name was no UTF-8, and leads to no file.
    const isFile = (entry: Dirent): boolean => entry.isFile() && !entry.name.includes('\u{fffd}');
    return {
      names: new Set(namesOf(entries.filter(isFile))),
      others: namesOf(entries.filter((entry) => !isFile(entry) && !entry.isDirectory())),
    };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new OrgtrailError('usage', `${folder} cannot be read as a folder (${code})`);
  }
};

/** If a file is there both ways, the packed one keeps its own name, which no leaf has. */
const pathOf = (name: string, names: ReadonlySet<string>): string => {
  const plain = name.slice(0, -PACKED.length);
  const isPacked = /^events\/(?:payload|withheld)\//.test(name) && name.endsWith(PACKED) && !names.has(plain);
  return isPacked ? plain : name;
};

const hashAll = async (folder: string, names: ReadonlySet<string>, { signal, onHashed }: ReadFolderOptions) => {
  const hashes = new Map<string, string>();
  const piece = Buffer.alloc(PIECE_BYTES);
  let bytes = 0;
  for (const name of names) {
    const hash = createHash('sha256');
    for (const length of piecesOf(join(folder, name), piece)) {
      hash.update(piece.subarray(0, length));
      bytes += length;
      onHashed?.(bytes);
    }
    hashes.set(name, hash.digest('hex'));
    signal?.throwIfAborted();
    // Signals are heard in between.
    if (hashes.size % 256 === 0 || bytes > PIECE_BYTES) await setImmediate();
  }
  return hashes;
};

/** Yields lengths: the bytes are in `piece`. */
function* piecesOf(file: string, piece: Buffer): Generator<number> {
  const descriptor = openSync(file, 'r');
  try {
    for (;;) {
      const length = readSync(descriptor, piece);
      if (length === 0) return;
      yield length;
    }
  } finally {
    closeSync(descriptor);
  }
}

const LINE_FEED = 0x0a;

/** Without line feeds; the last line may lack one. */
export async function* linesOf(pieces: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let open: Buffer[] = [];
  for await (const piece of pieces) {
    let start = 0;
    for (let end = piece.indexOf(LINE_FEED); end >= 0; end = piece.indexOf(LINE_FEED, start)) {
      open.push(piece.subarray(start, end));
      yield open.length === 1 ? (open[0] as Buffer) : Buffer.concat(open);
      open = [];
      start = end + 1;
    }
    if (start < piece.length) open.push(piece.subarray(start));
  }
  if (open.length > 0) yield Buffer.concat(open);
}

export const foundInFolder = (reader: FolderReader): FoundReader => ({
  paths: reader.paths,
  ...(reader.hashes && { hashes: reader.hashes }),
  read: (path) => (reader.paths.includes(path) ? readFileSync(reader.fileOf(path).file) : undefined),
  lines: (path) => linesOf(createReadStream(reader.fileOf(path).file, { highWaterMark: PIECE_BYTES })),
});

/** Memory: 35 bytes for each leaf, and what the statements take. */
export const verifyFolder = async (
  reader: FolderReader,
  options: VerifierOptions & {
    readonly signal?: AbortSignal | undefined;
    readonly onPayload?: (bytes: number) => void;
  } = {},
): Promise<Report> => {
  const steps = verificationOf(reader, options);
  let bytes = 0;
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await readPieces(reader, value, (length) => {
      options.signal?.throwIfAborted();
      bytes += length;
      options.onPayload?.(bytes);
    });
  }
};

const readPieces = async (reader: FolderReader, pieces: PayloadPieces, onPiece: (length: number) => void) => {
  const { file, isPacked } = reader.fileOf(pieces.path);
  try {
    for await (const piece of isPacked ? unpackedPieces(file) : plainPieces(file)) {
      onPiece(piece.length);
      pieces.take(piece);
    }
  } catch (error) {
    if (!isUnpackingError(error)) throw error;
    pieces.fail('cannot be unpacked');
  }
};

/** Each piece is valid until the next one. */
async function* plainPieces(file: string): AsyncGenerator<Buffer> {
  await using handle = await open(file);
  const room = Buffer.alloc(PIECE_BYTES);
  for (;;) {
    const { bytesRead } = await handle.read(room);
    if (bytesRead === 0) return;
    yield room.subarray(0, bytesRead);
  }
}

async function* unpackedPieces(file: string): AsyncGenerator<Buffer> {
  await using handle = await open(file);
  const { buffer: header } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  if (((header[3] ?? 0) & UNLIKE_FLAGS) !== 0) throw new NotUnpacked();
  const plain = createReadStream(file, { highWaterMark: PIECE_BYTES });
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  try {
    yield* pipeline(plain, gunzip, () => {}) as AsyncIterable<Buffer>;
  } finally {
    plain.destroy();
  }
  // zlib stops at a zero behind a member, and leaves alone what follows.
  for await (const rest of createReadStream(file, { start: gunzip.bytesWritten }) as AsyncIterable<Buffer>) {
    if (rest.some((byte) => byte !== 0)) throw new NotUnpacked();
  }
}

/** Header checksum and reserved flags, which unpackers treat differently. */
const UNLIKE_FLAGS = 0xe2;

/** Only zeros may follow a packed file. */
class NotUnpacked extends Error {
  readonly code = 'Z_NOT_UNPACKED';
}

const isUnpackingError = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
