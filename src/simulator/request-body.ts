import type { IncomingMessage } from 'node:http';

/** The whole body as text; undefined when it is longer than `limitBytes` (it is then read and dropped). */
export async function readBody(request: IncomingMessage, limitBytes = 1_048_576): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= limitBytes) chunks.push(chunk);
  }
  return length > limitBytes ? undefined : Buffer.concat(chunks).toString();
}
