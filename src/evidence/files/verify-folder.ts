import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Report } from '../verify/report.ts';
import { type VerifierOptions, verificationOf } from '../verify/verify-bundle.ts';
import type { PayloadPieces } from '../verify/verify-payload.ts';
import type { FolderReader } from './folder-reader.ts';

export interface VerifyFolderOptions extends VerifierOptions {
  readonly signal?: AbortSignal | undefined;
  /** So many bytes of payload have been verified. */
  readonly onPayload?: (bytes: number) => void;
}

const PIECE_BYTES = 1_048_576;

/** Verifies a bundle in a folder. Its payload is read in pieces: memory is 35 bytes for each leaf and what the statements take. */
export const verifyFolder = async (reader: FolderReader, options: VerifyFolderOptions = {}): Promise<Report> => {
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

const readPieces = async (
  reader: FolderReader,
  pieces: PayloadPieces,
  onPiece: (length: number) => void,
): Promise<void> => {
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

/** Flags of gzip that unpackers do not treat alike: a checksum of the header, and those that are reserved. */
const UNLIKE_FLAGS = 0xe2;

/** Padding of zeros behind a packed file is no part of it; anything else is not what was packed. */
class NotUnpacked extends Error {
  readonly code = 'Z_NOT_UNPACKED';
}

const isUnpackingError = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
