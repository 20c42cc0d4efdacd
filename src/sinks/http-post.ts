import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import { parseRetryAfter } from '../domain/rate-limit-headers.ts';

/** Of an answer no more than this is read: `_bulk` answers with some 200 bytes per event. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;

export interface HttpPostOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** From sending to the end of the answer. */
  readonly timeoutMs: number;
  /** PEM file of the authority that signed the receiver's certificate, where it is not a public one. */
  readonly caFile: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** From `Retry-After`. */
  readonly retryAfterMs: number | undefined;
}

/** Posts to one receiver, over a connection that is kept. Follows no redirect. Used by the sinks that speak HTTP. */
export interface HttpPost {
  /** Rejects where no complete answer came. `path` replaces that of the URL. */
  post(
    body: string | Buffer,
    options: {
      readonly signal: AbortSignal;
      readonly headers?: Readonly<Record<string, string>>;
      readonly path?: string;
    },
  ): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export const createHttpPost = ({ url, headers, timeoutMs, caFile }: HttpPostOptions): HttpPost => {
  const target = new URL(url);
  const agent = new Agent({
    connections: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS, ...(caFile !== undefined && { ca: readFileSync(caFile) }) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  return {
    post: async (body, options) => {
      const response = await agent.request({
        origin: target.origin,
        path: options.path ?? `${target.pathname}${target.search}`,
        method: 'POST',
        headers: { ...headers, ...options.headers },
        body,
        signal: AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)]),
      });
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        sizeBytes += chunk.length;
        if (sizeBytes > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
        chunks.push(chunk);
      }
      const retryAfter = response.headers['retry-after'];
      return {
        status: response.statusCode,
        body: Buffer.concat(chunks).toString('utf8'),
        retryAfterMs: typeof retryAfter === 'string' ? parseRetryAfter(retryAfter, Date.now()) : undefined,
      };
    },
    close: () => agent.destroy(),
  };
};
