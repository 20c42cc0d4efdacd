import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { listen } from '../network/listen.ts';

/** An object that the storage took in, whether or not its sender was told. */
interface StoredPut {
  /** With the bucket. */
  readonly path: string;
  readonly sha256: string;
}

/** What becomes of one PUT. */
export type PutFault =
  /** The connection breaks before the storage has seen it. */
  | 'cut_before'
  /** The storage has it, and the connection breaks before the answer. */
  | 'cut_after'
  /** The storage has it, and the answer never comes: see `held`. */
  | 'hold'
  /** The storage never sees it. */
  | { readonly status: number; readonly code: string };

/** A network before a storage, on which every PUT is seen. Signatures hold, since the host is the one that was asked for. */
export interface StorageProxy extends AsyncDisposable {
  readonly endpoint: string;
  readonly puts: readonly StoredPut[];
  /** Methods of all requests. */
  readonly methods: ReadonlySet<string>;
  /** Each meets one PUT, the first the next one. */
  readonly faults: PutFault[];
  /** Connections that it broke. */
  cuts(): number;
  /** Resolves once the storage has an object whose answer is held back. */
  held(): Promise<void>;
  /** Breaks all connections and refuses new ones, until `restart`. */
  stop(): Promise<void>;
  restart(): Promise<void>;
}

/** `nextFault` decides about PUTs for which `faults` has nothing. */
export const startStorageProxy = async (
  target: string,
  nextFault: () => PutFault | undefined = () => undefined,
): Promise<StorageProxy> => {
  const puts: StoredPut[] = [];
  const methods = new Set<string>();
  const faults: PutFault[] = [];
  let cuts = 0;
  let held = Promise.withResolvers<void>();
  const cut = (message: IncomingMessage) => {
    cuts += 1;
    message.socket.destroy();
  };
  const pass = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    methods.add(message.method ?? '');
    const isPut = message.method === 'PUT';
    const fault = isPut ? (faults.shift() ?? nextFault()) : undefined;
    const body = await buffer(message);
    if (fault === 'cut_before') return cut(message);
    if (typeof fault === 'object') return answerWith(response, fault);
    const answer = await forward(target, message, body);
    if (isPut && answer.status === 200) {
      puts.push({ path: message.url ?? '', sha256: createHash('sha256').update(body).digest('hex') });
    }
    if (fault === 'cut_after') return cut(message);
    if (fault === 'hold') return held.resolve();
    response.writeHead(answer.status, answer.headers).end(answer.body);
  };
  const server = createServer((message, response) => {
    // The storage is away, or the sender.
    pass(message, response).catch(() => message.socket.destroy());
  });
  const listening = await listen(server);
  return {
    ...listening,
    endpoint: `http://127.0.0.1:${listening.port}`,
    puts,
    methods,
    faults,
    cuts: () => cuts,
    held: async () => {
      await held.promise;
      held = Promise.withResolvers<void>();
    },
  };
};

const answerWith = (response: ServerResponse, { status, code }: { readonly status: number; readonly code: string }) =>
  void response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);

const forward = async (target: string, { method, url, headers }: IncomingMessage, body: Buffer) => {
  const sent = request(`${target}${url}`, { method, headers });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: await buffer(answer) };
};
