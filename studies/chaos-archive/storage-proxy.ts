import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A moment of a request for an object. `half`: half of its bytes have gone on. `stored`, `given`: the storage has answered, and no client knows yet. */
export const storageMoments = ['put', 'put half', 'put stored', 'get', 'get half', 'get given'] as const;
export type StorageMoment = (typeof storageMoments)[number];

/** Stands between a process and a storage. */
export interface StorageProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Calls once, at the nth such moment from now on, of the keys that match; the request goes no further. */
  stopAt(moment: StorageMoment, nth: number, call: () => void, of?: RegExp): void;
  /** Nothing is stopped any more. */
  clear(): void;
}

interface Watch {
  readonly moment: StorageMoment;
  left: number;
  readonly of: RegExp;
  readonly call: () => void;
}

/** Hands every request on to the storage at `upstream`. */
export const startStorageProxy = async (upstream: string): Promise<StorageProxy> => {
  let watch: Watch | undefined;
  /** True: this is the moment, and the request ends here. */
  const reached = (moment: StorageMoment, url: string): boolean => {
    if (watch?.moment !== moment || !watch.of.test(url)) return false;
    watch.left -= 1;
    if (watch.left > 0) return false;
    const { call } = watch;
    watch = undefined;
    call();
    return true;
  };
  const server = createServer((incoming, outgoing) => {
    handOn(upstream, incoming, outgoing, reached).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    stopAt: (moment, nth, call, of = /./) => {
      watch = { moment, left: nth, of, call };
    },
    clear: () => {
      watch = undefined;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};

const handOn = async (
  upstream: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  reachedOf: (moment: StorageMoment, url: string) => boolean,
): Promise<void> => {
  const kind = incoming.method === 'PUT' ? 'put' : 'get';
  const reached = (moment: StorageMoment) => reachedOf(moment, decodeURIComponent(incoming.url ?? ''));
  const body = await bytesOf(incoming);
  if (reached(kind)) return;
  if (kind === 'put' && reached('put half')) {
    await sendHalf(upstream, incoming, body);
    return;
  }
  const { answer, bytes } = await send(upstream, incoming, body);
  if (reached(kind === 'put' ? 'put stored' : 'get given')) return;
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  if (kind === 'get' && reached('get half')) {
    outgoing.write(bytes.subarray(0, bytes.length >> 1));
    return;
  }
  outgoing.end(bytes);
};

const bytesOf = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

const open = (upstream: string, { method, url, headers }: IncomingMessage) =>
  request(new URL(url ?? '/', upstream), { method, headers: { ...headers, connection: 'close' } });

const send = async (upstream: string, incoming: IncomingMessage, body: Buffer) => {
  const sent = open(upstream, incoming);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
  });
  sent.end(body);
  const answer = await answered;
  return { answer, bytes: await bytesOf(answer) };
};

/** The storage waits for the rest, and the connection ends. */
const sendHalf = async (upstream: string, incoming: IncomingMessage, body: Buffer): Promise<void> => {
  const sent = open(upstream, incoming);
  sent.on('error', () => {});
  await new Promise<void>((resolve) => sent.write(body.subarray(0, body.length >> 1), () => resolve()));
  sent.destroy();
};
