import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';

/** A server that listens on 127.0.0.1 until it is stopped, or its test ends. */
export interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection. */
  breakAll(): void;
  /** Breaks every connection, and refuses new ones until `restart`. */
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  restart(): Promise<void>;
}

/** On any port unless one is given: of `freePorts` if it is to be free for a late restart. An empty host: on every address. */
export const listen = async (server: Server, port = 0, host = '127.0.0.1'): Promise<Listening> => {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  const listenOn = async (at: number) => {
    server.listen(at, host);
    await once(server, 'listening');
  };
  await listenOn(port);
  const taken = (server.address() as AddressInfo).port;
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    breakAll();
    await closed;
  };
  return { port: taken, breakAll, stop, restart: () => listenOn(taken), [Symbol.asyncDispose]: stop };
};
