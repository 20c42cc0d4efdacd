import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import { negotiate } from '@fastify/accept-negotiator';
import type { StreamPlace } from '../base/limits.ts';

/** 0.6 MB for each stream instead of 3 MB. Events resemble each other: a small window compresses well. */
const zstdParameters = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: 17 };
const compressors = { zstd: () => createZstdCompress({ params: zstdParameters }), gzip: () => createGzip() } as const;
type Encoding = keyof typeof compressors;

/** A reader that takes this much within the time-out is not cut, however large a piece is. */
const SLICE_BYTES = 65_536;

/** Undefined: as it is. `header` is the reader's Accept-Encoding. */
export const encodingFor = (header: string | undefined): Encoding | undefined => {
  const chosen = negotiate(header ?? 'identity', [...Object.keys(compressors), 'identity']);
  return chosen === 'zstd' || chosen === 'gzip' ? chosen : undefined;
};

/**
 * Writes the pieces as the body of a response whose head is written already. One piece is on its way at a time: a reader that stalls stops
 * the reading, costs the memory of two pieces, and is cut off when it has taken nothing for the time that its place allows. If reading
 * fails, the connection is cut, so that the reader sees that the body is not whole. Always resolves. Who has the place leaves it when what
 * the pieces hold is given back.
 */
export const streamFeed = async (
  response: ServerResponse,
  encoding: Encoding | undefined,
  pieces: AsyncIterable<{ readonly lines: Buffer }>,
  last: string,
  place: Omit<StreamPlace, 'leave'>,
): Promise<void> => {
  // No event would tell it any more, and a compressor whose output is not read never finishes.
  if (response.destroyed) return;
  const compressor = encoding && compressors[encoding]();
  compressor?.pipe(response);
  const body = bodyWriter(response, compressor ?? response, place);
  try {
    for await (const piece of pieces) await body.write(piece);
    await body.end(last);
  } catch {
    response.destroy();
    compressor?.destroy();
  }
};

const noOne = (): void => {};

/** Each slice is written when the one before has left; a reader that takes none for too long is given up. */
const bodyWriter = (response: ServerResponse, body: Writable, place: Omit<StreamPlace, 'leave'>) => {
  let fail: (error: Error) => void = noOne;
  response.once('close', () => fail(new Error('the reader has gone')));
  const settle = (start: (done: (error?: Error | null) => void) => void): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      fail = reject;
      if (response.destroyed) reject(new Error('the reader has gone'));
      else start((error) => (error ? reject(error) : resolve()));
    }).finally(() => {
      // A function of its own would hold what was written.
      fail = noOne;
    });
  const timed = async (work: (timer: NodeJS.Timeout) => Promise<void>): Promise<void> => {
    const timer = setTimeout(() => {
      place.stalled();
      fail(new Error('the reader takes nothing'));
    }, place.stallTimeoutMs);
    try {
      await work(timer);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    /** Resolves when the memory is free. Rejects if the reader has gone or stalls. */
    write: ({ lines }: { readonly lines: Buffer }): Promise<void> =>
      timed(async (timer) => {
        // Also one without anything in it.
        for (let from = 0; from === 0 || from < lines.length; from += SLICE_BYTES) {
          await settle((done) => body.write(lines.subarray(from, from + SLICE_BYTES), done));
          timer.refresh();
        }
      }),
    end: (last: string): Promise<void> =>
      timed(() =>
        settle((done) => {
          response.once('finish', () => done(null));
          body.end(last);
        }),
      ),
  };
};
