import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { freePorts } from './free-ports.ts';

/** A way to a server that can be cut and given back: a database that restarts, seen from its clients. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Listens again, on the same port. */
  restore(): Promise<void>;
}

/** Passes bytes on to `target`. With `cut: true` it refuses connections until `restore`. */
export const startTcpProxy = async (
  target: { readonly host: string; readonly port: number },
  options: { readonly cut?: boolean } = {},
): Promise<TcpProxy> => {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target.port, target.host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  const [port = 0] = await freePorts(1);
  const listen = async () => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen();
  const cut = async () => {
    if (!server.listening) return;
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  };
  if (options.cut === true) await cut();
  return { port, cut, restore: listen, [Symbol.asyncDispose]: cut };
};

/** The same database by way of the proxy. */
export const byWayOf = (proxy: Pick<TcpProxy, 'port'>, databaseUrl: string): string => {
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${proxy.port}`;
  return url.href;
};

/** Where a connection string leads. */
export const addressOf = (databaseUrl: string): { host: string; port: number } => {
  const url = new URL(databaseUrl);
  return { host: url.hostname, port: Number(url.port || 5432) };
};
