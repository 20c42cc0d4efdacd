import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { createGzip, createZstdCompress } from 'node:zlib';
import { negotiate } from '@fastify/accept-negotiator';

const compressors = { zstd: createZstdCompress, gzip: createGzip } as const;
type Encoding = keyof typeof compressors;

/** The first of ours that the reader takes; undefined: as it is. `header` is its Accept-Encoding. */
export const encodingFor = (header: string | undefined): Encoding | undefined => {
  const chosen = negotiate(header ?? 'identity', [...Object.keys(compressors), 'identity']);
  return chosen === 'zstd' || chosen === 'gzip' ? chosen : undefined;
};

/**
 * Writes the pieces as the body of a response whose head is written already. One piece is on its way at a time: a reader
 * that stalls stops the reading, and costs the memory of two pieces. Where reading fails, the connection is cut, so that
 * the reader sees that the body is not whole. Resolves in either case.
 */
export const streamFeed = async (
  response: ServerResponse,
  encoding: Encoding | undefined,
  pieces: AsyncIterable<{ readonly lines: Buffer }>,
  last: string,
): Promise<void> => {
  // No event would tell it any more, and a compressor whose output nobody takes never says that it is done.
  if (response.destroyed) return;
  const compressor = encoding && compressors[encoding]();
  const body: Writable = compressor ?? response;
  compressor?.pipe(response);
  const closed = once(response, 'close').then(() => {
    throw new Error('the reader has gone');
  });
  closed.catch(() => {});
  try {
    for await (const { lines } of pieces) await Promise.race([write(body, lines), closed]);
    body.end(last);
  } catch {
    response.destroy();
    compressor?.destroy();
  }
};

/** Until the piece has left: its buffer is used again for the next but one. */
const write = (body: Writable, lines: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    body.write(lines, (error) => (error ? reject(error) : resolve()));
  });
