import type { IncomingMessage } from 'node:http';

/** Path and query of a request target, whatever a client wrote there. */
export function splitTarget(target = '/'): { path: string; query: URLSearchParams } {
  const at = target.indexOf('?');
  return at === -1
    ? { path: target, query: new URLSearchParams() }
    : { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) };
}

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
