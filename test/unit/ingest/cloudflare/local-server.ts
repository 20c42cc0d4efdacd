import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';

/** A server on a real socket of this machine, for one test. */
export interface LocalServer extends AsyncDisposable {
  readonly port: number;
  readonly baseUrl: string;
  /** What was asked, in order. Empty for a TCP server. */
  readonly requests: readonly IncomingMessage[];
  /** Resolves once no connection is open. */
  allClosed(): Promise<void>;
  readonly connections: number;
}

/** Answers each request with the next handler, all further ones with the last. */
export async function startHttpServer(...handlers: RequestListener[]): Promise<LocalServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    // A client that goes away in the middle of a body is what these tests are about.
    response.on('error', () => {});
    handlers[Math.min(requests.length, handlers.length) - 1]?.(request, response);
  });
  return await listen(server, requests);
}

export async function startTcpServer(onConnection: (socket: Socket) => void): Promise<LocalServer> {
  const server = createTcpServer((socket) => {
    // A socket that is not read never learns that the other side closed.
    socket.resume();
    onConnection(socket);
  });
  return await listen(server, []);
}

/** A handler that answers at once. Objects are sent as JSON. */
export function answer(status: number, body: unknown = {}, headers: Record<string, string | string[]> = {}) {
  return (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body));
  };
}

async function listen(server: Server, requests: IncomingMessage[]): Promise<LocalServer> {
  const sockets = new Set<Socket>();
  let onEmpty = () => {};
  let opened = 0;
  server.on('connection', (socket) => {
    opened += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0) onEmpty();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    baseUrl: `http://127.0.0.1:${port}/client/v4`,
    requests,
    allClosed: () =>
      new Promise((resolve) => {
        onEmpty = resolve;
        if (sockets.size === 0) resolve();
      }),
    get connections() {
      return opened;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
