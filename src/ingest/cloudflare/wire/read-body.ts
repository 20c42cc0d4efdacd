import type { Readable } from 'node:stream';
import { BufferPool } from '../../../limits/buffer-pool.ts';

/** Smaller ones are not worth keeping. */
const POOLED_BYTES = 65_536;
const buffers = new BufferPool();

/** A whole body. */
export interface Body {
  readonly bytes: Buffer;
  /** Returns the memory for another body. Call it once at most, and only when `bytes` is no longer read. */
  release(): void;
}

/**
 * The whole body, or undefined when it is longer than `maxBytes`. Keeps no more than that, and leaves nothing open:
 * a body that is too long, or not wanted to its end, takes its connection with it. Rejects when the body is cut off.
 */
export async function readBody(
  body: Readable,
  maxBytes: number,
  contentLength: string | undefined,
): Promise<Body | undefined> {
  if (Number(contentLength) > maxBytes) {
    body.on('error', () => {}).destroy();
    return undefined;
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    // Leaving the loop destroys the stream, and with it the connection.
    if (sizeBytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return joined(chunks, sizeBytes);
}

const joined = (chunks: readonly Buffer[], sizeBytes: number): Body => {
  if (sizeBytes < POOLED_BYTES) return { bytes: Buffer.concat(chunks, sizeBytes), release: () => {} };
  const buffer = buffers.take(sizeBytes);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(buffer, at);
  return { bytes: buffer.subarray(0, sizeBytes), release: () => buffers.giveBack(buffer) };
};
