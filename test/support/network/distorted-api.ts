import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listen } from './listen.ts';

/** What the simulator answered, before anything is done to it. */
export interface TrueAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

interface Distortion {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly answer: TrueAnswer;
  readonly response: ServerResponse;
}

/** Sends something in place of the true answer. */
export type Distort = (distortion: Distortion) => void | Promise<void>;

export interface DistortedApiOptions {
  /** Which requests are distorted; default: pages of audit logs. */
  readonly concerns?: (url: URL) => boolean;
  /** Changes what the simulator is asked. */
  readonly rewrite?: (url: URL) => void;
}

/** An API that stands before the simulator and answers some requests in a way of its own, for as long as it is told to. */
export interface DistortedApi extends AsyncDisposable {
  /** What to set CLOUDFLARE_BASE_URL to. */
  readonly baseUrl: string;
  readonly distorted: number;
  /** Undefined: answers as the simulator does. */
  distort(how: Distort | undefined): void;
}

export const startDistortedApi = async (
  simulatorBaseUrl: string,
  { concerns = ({ pathname }) => pathname.endsWith('/logs/audit'), rewrite }: DistortedApiOptions = {},
): Promise<DistortedApi> => {
  const { origin } = new URL(simulatorBaseUrl);
  let how: Distort | undefined;
  let distorted = 0;
  const server = createServer(async (request, response) => {
    response.on('error', () => {});
    const url = new URL(request.url ?? '/', origin);
    rewrite?.(url);
    const headers = { authorization: request.headers.authorization ?? '' };
    const reply = await fetch(url, { headers });
    const answer = {
      status: reply.status,
      headers: Object.fromEntries(['date', 'content-type', 'retry-after'].flatMap((name) => pair(reply.headers, name))),
      body: Buffer.from(await reply.arrayBuffer()),
    };
    if (how === undefined || !concerns(url)) sendTrue(response, answer);
    else {
      distorted += 1;
      await how({ request, url, answer, response });
    }
  });
  const { port, stop } = await listen(server);
  return {
    baseUrl: simulatorBaseUrl.replace(origin, `http://127.0.0.1:${port}`),
    get distorted() {
      return distorted;
    },
    distort: (next) => {
      how = next;
    },
    [Symbol.asyncDispose]: stop,
  };
};

const pair = (headers: Headers, name: string): [string, string][] => {
  const value = headers.get(name);
  return value === null ? [] : [[name, value]];
};

/** The answer as it was, with other headers where they are given. */
export const sendTrue = (
  response: ServerResponse,
  answer: TrueAnswer,
  headers: Readonly<Record<string, string>> = {},
) => {
  response.sendDate = false;
  response.writeHead(answer.status, { ...answer.headers, ...headers }).end(answer.body);
};

/** A body of this many mebibytes of nothing; `announced`: by a content-length. Resolves when it is sent, or the reader stops. */
export const sendHuge = async (
  response: ServerResponse,
  answer: TrueAnswer,
  { mebibytes, announced }: { readonly mebibytes: number; readonly announced: boolean },
): Promise<void> => {
  const piece = Buffer.alloc(1024 * 1024, 0x20);
  const length: Record<string, number> = announced ? { 'content-length': mebibytes * piece.length } : {};
  response.writeHead(answer.status, { ...answer.headers, ...length });
  await pipeline(Readable.from(Array(mebibytes).fill(piece)), response).catch(() => {});
};
