import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createCa, createCertificate } from '../../network/certificates.ts';
import { listen } from '../../network/listen.ts';

/** An event as a receiver took it in. */
export interface ReceivedEvent {
  readonly key: string;
  readonly position: number;
  /** To the byte as it stood in the request; of an event that came as a JSON string, what the string says. */
  readonly text: string;
}

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Unpacked; of protobuf, a character for each byte. */
  readonly body: string;
}

export interface ReceiverAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** What goes wrong with one request. */
export type Fault =
  /** Answers so, having read the request and taken nothing in; with `early`, having read nothing of its body. */
  | ({ readonly kind: 'answer'; readonly early?: boolean } & ReceiverAnswer)
  /** Breaks the connection: on reading nothing, on so many bytes of the body, or having taken all in: the sender cannot know. */
  | { readonly kind: 'cut'; readonly at: 'start' | 'answer' | 'mid-answer' | { readonly bodyBytes: number } }
  /** Reads no further (`start`), or takes all in and never answers. */
  | { readonly kind: 'stall'; readonly at: 'start' | 'answer' };

/** A server to push to, with what it took in, in order, repeats included. */
export interface HttpReceiver extends AsyncDisposable {
  /** What a sink's `url` has to be. */
  readonly url: string;
  /** A sink's `ca_file`; undefined for plain HTTP. */
  readonly caFile: string | undefined;
  received(): readonly ReceivedEvent[];
  /** Every request that was read to its end, whatever became of it. */
  readonly requests: readonly ReceivedRequest[];
  /** Each meets one request, the first the next one. Empty: all is well. */
  readonly faults: Fault[];
  /** Breaks all connections; refuses new ones until `restart`, which listens on the same port, with what was taken in kept. */
  stop(): Promise<void>;
  restart(): Promise<void>;
}

export interface ReceiverOptions {
  /** Speaks TLS, with a certificate for localhost and 127.0.0.1 of an authority of its own. */
  readonly tls?: boolean;
}

interface ReceiverParts {
  /** Called once a request was read in full: takes in what is in it. */
  readonly handle: (request: ReceivedRequest) => ReceiverAnswer | Promise<ReceiverAnswer>;
  readonly received: () => readonly ReceivedEvent[];
  /** What a process that ends forgets. */
  readonly forget?: () => void;
}

/** The certificate of all receivers: made once, by an authority of its own. */
let certificate: Promise<{ readonly ca: string; readonly cert: string; readonly key: string }> | undefined;

const makeCertificate = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-receiver-'));
  const ca = await createCa(directory, 'receiver-ca');
  const { cert, key } = await createCertificate(directory, ca, 'localhost', 'DNS:localhost,IP:127.0.0.1');
  const [caText, certText, keyText] = await Promise.all([ca.cert, cert, key].map((path) => readFile(path, 'utf8')));
  await rm(directory, { recursive: true });
  return { ca: caText ?? '', cert: certText ?? '', key: keyText ?? '' };
};

const startTls = async () => {
  certificate ??= makeCertificate();
  const { ca, ...pair } = await certificate;
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-receiver-'));
  const caFile = join(directory, 'ca.crt');
  await writeFile(caFile, ca);
  return { directory, caFile, ...pair };
};

/** The server that is common to all receivers. Used by http-receivers.ts. */
export const startHttpReceiver = async (parts: ReceiverParts, options: ReceiverOptions = {}): Promise<HttpReceiver> => {
  const tls = options.tls === true ? await startTls() : undefined;
  const faults: Fault[] = [];
  const requests: ReceivedRequest[] = [];
  const listener = (message: IncomingMessage, response: ServerResponse) => {
    // A request that its sender broke off.
    message.on('error', () => {});
    void answer(message, response, faults.shift(), (request) => {
      requests.push(request);
      return parts.handle(request);
    });
  };
  const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
  server.on('tlsClientError', () => {});
  const listening = await listen(server);
  const stop = async () => {
    await listening.stop();
    parts.forget?.();
  };
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${listening.port}`,
    caFile: tls?.caFile,
    received: parts.received,
    requests,
    faults,
    stop,
    restart: listening.restart,
    [Symbol.asyncDispose]: async () => {
      await stop();
      if (tls !== undefined) await rm(tls.directory, { recursive: true, force: true });
    },
  };
};

const answer = async (
  message: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
  handle: ReceiverParts['handle'],
): Promise<void> => {
  if (fault?.kind === 'stall' && fault.at === 'start') return;
  if (fault?.kind === 'cut' && fault.at === 'start') return void message.socket.destroy();
  if (fault?.kind === 'answer' && fault.early === true)
    return send(response, { ...fault, headers: { ...fault.headers, connection: 'close' } });
  const cutAtBytes =
    fault?.kind === 'cut' && typeof fault.at === 'object' ? fault.at.bodyBytes : Number.POSITIVE_INFINITY;
  const request = await readRequest(message, cutAtBytes);
  if (request === undefined) return;
  if (cutAtBytes !== Number.POSITIVE_INFINITY) return void message.socket.destroy();
  if (fault?.kind === 'answer') return send(response, fault);
  const result = await handle(request);
  if (fault === undefined) return send(response, result);
  if (fault.kind === 'stall') return;
  if (fault.at === 'mid-answer') {
    const body = result.body ?? 'ok';
    response.writeHead(result.status, { ...result.headers, 'content-length': Buffer.byteLength(body) + 1 });
    await new Promise((sent) => response.write(body, sent));
  }
  message.socket.destroy();
};

const send = (response: ServerResponse, { status, headers, body }: ReceiverAnswer): void => {
  response.writeHead(status, headers).end(body);
};

/** Undefined where the connection broke, or was cut at so many bytes of the body. */
const readRequest = async (message: IncomingMessage, cutAtBytes: number): Promise<ReceivedRequest | undefined> => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of message as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes >= cutAtBytes) return void message.socket.destroy();
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  const body = Buffer.concat(chunks);
  const { 'content-encoding': encoding, 'content-type': type } = message.headers;
  const text = encoding === 'gzip' || type === 'application/gzip' ? gunzipSync(body) : body;
  if (type === 'application/x-protobuf') {
    return { path: message.url ?? '', headers: message.headers, body: text.toString('latin1') };
  }
  // Throws for what is not UTF-8.
  const decoded = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text);
  return { path: message.url ?? '', headers: message.headers, body: decoded };
};
