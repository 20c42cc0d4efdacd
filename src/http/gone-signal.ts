import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { MAX_WAIT_MS } from '../limits/reader-memory.ts';
import type { StreamLimits } from '../limits/stream-limits.ts';

/** Aborts when the connection of the answer closes, and with it the reason for what is under way. Also after an answer that was sent in full. */
export const goneSignal = (reply: FastifyReply): AbortSignal => {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
};

/**
 * Makes an answer that is no stream, in a place that it keeps until the reader has all of it. Exports stand back meanwhile. `bytes` are those of
 * the entries in it. Rejects with BusyError.
 */
export const inPlace = async <T>(
  streams: StreamLimits,
  reply: FastifyReply,
  work: (lend: Lend) => Promise<T>,
): Promise<T> => {
  const gone = goneSignal(reply);
  const place = await streams.enter('page', gone);
  reply.raw.once('close', place.leave);
  if (gone.aborted) place.leave();
  let giveBack = () => {};
  return await work(async (bytes) => {
    giveBack();
    giveBack = await streams.memory.acquire(bytes, gone, MAX_WAIT_MS);
    if (gone.aborted) giveBack();
    else reply.raw.once('close', giveBack);
    return giveBack;
  });
};

/**
 * Waits for the memory of entries of so many bytes, in place of what was lent before: who waits holds nothing. It is given back when the answer has
 * been sent, or sooner by what this resolves with.
 */
export type Lend = (bytes: number) => Promise<() => void>;

/** A reader that takes so much within the time-out is not cut. */
const SLICE_BYTES = 65_536;

/** Cuts every answer that is no stream of its own when its reader takes nothing for the time-out. */
export const cutStalled = (
  server: FastifyInstance,
  { stallTimeoutMs, stalled }: Pick<StreamLimits, 'stallTimeoutMs' | 'stalled'>,
): void => {
  server.addHook('onSend', async (_request, reply, payload) => {
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return payload;
    const timer = setTimeout(() => {
      stalled();
      reply.raw.destroy();
    }, stallTimeoutMs);
    reply.raw.once('close', () => clearTimeout(timer));
    if (payload.length <= SLICE_BYTES) return payload;
    const bytes = Buffer.from(payload);
    reply.header('content-length', bytes.length);
    return Readable.from(slices(bytes, timer), { highWaterMark: 1 });
  });
};

function* slices(bytes: Buffer, timer: NodeJS.Timeout): Generator<Buffer, void, void> {
  for (let from = 0; from < bytes.length; from += SLICE_BYTES) {
    timer.refresh();
    yield bytes.subarray(from, from + SLICE_BYTES);
  }
}
