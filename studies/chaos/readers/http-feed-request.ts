import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { type Agent, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { pause } from '../pause.ts';

const LINE_FEED = 10;

/** How the reader behaves in one request. */
export interface Conduct {
  readonly encoding: 'identity' | 'gzip' | 'zstd';
  /** Stops reading once, after so many bytes, for so long. */
  readonly stall?: { readonly afterBytes: number; readonly forMs: number };
  /** Cuts its own connection after so many bytes. */
  readonly cutAfterBytes?: number;
  /** How long it waits for a head, or for more of a body, before it gives the server up. */
  readonly timeoutMs: number;
}

/** The outcome of a request. */
export type FeedEnd =
  | { readonly kind: 'unanswered'; readonly reason: string }
  | {
      /**
       * `whole`: the body came to its proper end. `cut`: it broke off. `left`: the reader itself cut it. `broken`: as HTTP
       * it ended properly, but it is not what it says that it is.
       */
      readonly kind: 'whole' | 'cut' | 'left' | 'broken';
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      /** What stood behind the last newline. */
      readonly rest: string;
      readonly reason: string;
    };

/** Hears what happens meanwhile. */
export interface FeedListener {
  /** Each line that has its newline, also of a body that turns out not to be whole. */
  onLine(line: string): void;
  /** It stops reading for a while. */
  onStall(headers: IncomingHttpHeaders): void;
}

/** Sends one request to the feed and reads its answer. Never rejects for what a server does. */
export const requestFeed = async (
  url: string,
  agent: Agent,
  conduct: Conduct,
  listener: FeedListener,
  signal: AbortSignal,
): Promise<FeedEnd> => {
  const request = get(url, { agent, headers: { 'accept-encoding': conduct.encoding } });
  // Each failure shows where it is waited for.
  request.on('error', () => {});
  let leftFor: string | undefined;
  const leave = (reason: string) => {
    leftFor = reason;
    request.destroy(new Error(reason));
  };
  const giveUp = () => leave(`silent for ${conduct.timeoutMs} ms`);
  let timer = setTimeout(giveUp, conduct.timeoutMs);
  const stop = () => leave('the run ends');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const stalled = async (forMs: number) => {
      clearTimeout(timer);
      listener.onStall(response.headers);
      await pause(forMs, signal);
      timer = setTimeout(giveUp, conduct.timeoutMs);
    };
    const end = await readBody(response, conduct, listener, stalled, () => timer.refresh());
    // What has arrived and was not read yet is dropped then, and the rest looks like a body that ended too early.
    return leftFor === undefined || end.kind === 'cut' ? end : { ...end, kind: 'left', reason: leftFor };
  } catch (error) {
    return { kind: 'unanswered', reason: String(error) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
};

const readBody = async (
  response: IncomingMessage,
  { cutAfterBytes = Number.POSITIVE_INFINITY, stall }: Conduct,
  { onLine }: FeedListener,
  stalled: (forMs: number) => Promise<void>,
  onBytes: () => void,
): Promise<Exclude<FeedEnd, { readonly kind: 'unanswered' }>> => {
  const { headers, statusCode: status = 0 } = response;
  const lines = new Lines(onLine);
  const end = (kind: 'whole' | 'cut' | 'left' | 'broken', reason = '') =>
    ({ kind, status, headers, rest: lines.rest(), reason }) as const;
  let bytes = 0;
  let stallAfterBytes = stall?.afterBytes ?? Number.POSITIVE_INFINITY;
  try {
    for await (const chunk of decoded(response) as AsyncIterable<Buffer>) {
      onBytes();
      bytes += chunk.length;
      lines.add(chunk);
      if (bytes >= cutAfterBytes) return end('left');
      if (bytes < stallAfterBytes) continue;
      stallAfterBytes = Number.POSITIVE_INFINITY;
      await stalled(stall?.forMs ?? 0);
    }
  } catch (error) {
    return end(response.complete ? 'broken' : 'cut', String(error));
  } finally {
    response.destroy();
  }
  if (!response.complete) return end('cut', 'the connection was closed');
  return lines.areUtf8 ? end('whole') : end('broken', 'a line that is no UTF-8');
};

const decoded = (response: IncomingMessage): Readable => {
  const encoding = response.headers['content-encoding'];
  if (encoding === undefined) return response;
  // What breaks the one ends the other, and the reader gets the error.
  return pipeline(response, encoding === 'gzip' ? createGunzip() : createZstdDecompress(), () => {});
};

/** Cuts bytes into lines. */
class Lines {
  readonly #onLine: (line: string) => void;
  #parts: Buffer[] = [];
  areUtf8 = true;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(chunk: Buffer): void {
    let from = 0;
    for (let to = chunk.indexOf(LINE_FEED); to >= 0; to = chunk.indexOf(LINE_FEED, from)) {
      const line = Buffer.concat([...this.#parts, chunk.subarray(from, to)]);
      this.#parts = [];
      from = to + 1;
      this.areUtf8 &&= isUtf8(line);
      this.#onLine(line.toString('utf8'));
    }
    if (from < chunk.length) this.#parts.push(chunk.subarray(from));
  }

  rest(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }
}
