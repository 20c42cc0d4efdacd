import type { Readable } from 'node:stream';

/**
 * The whole body, or undefined when it is longer than `maxBytes`. Keeps no more than that, and leaves nothing open:
 * a body that is too long, or not wanted to its end, takes its connection with it. Rejects when the body is cut off.
 */
export async function readBody(
  body: Readable,
  maxBytes: number,
  contentLength: string | undefined,
): Promise<Buffer | undefined> {
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
  return Buffer.concat(chunks, sizeBytes);
}
