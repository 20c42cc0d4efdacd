import { createReadStream, readFileSync } from 'node:fs';
import type { FoundReader } from '../verify/found/verify-found.ts';
import type { FolderReader } from './folder-reader.ts';

const LINE_FEED = 0x0a;
const PIECE_BYTES = 1_048_576;

/** Lines of pieces that follow each other, without their line feeds; what has none at the end is a line as well. */
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

/** A bundle of a search in a folder. */
export const foundInFolder = (reader: FolderReader): FoundReader => ({
  paths: reader.paths,
  ...(reader.hashes && { hashes: reader.hashes }),
  read: (path) => (reader.paths.includes(path) ? readFileSync(reader.fileOf(path).file) : undefined),
  lines: (path) => linesOf(createReadStream(reader.fileOf(path).file, { highWaterMark: PIECE_BYTES })),
});
