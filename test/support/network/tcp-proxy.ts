import { connect, createServer, type Socket } from 'node:net';
import { freePorts } from './free-ports.ts';
import { listen } from './listen.ts';

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
  const server = createServer((near) => passOn(near, connect(target.port, target.host)));
  const [port = 0] = await freePorts(1);
  const { stop, restart } = await listen(server, port);
  if (options.cut === true) await stop();
  return { port, cut: stop, restore: restart, [Symbol.asyncDispose]: stop };
};

/** What comes from one goes to the other; they end together. */
export const passOn = (near: Socket, far: Socket): void => {
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ] as const) {
    socket.on('error', () => {}).on('close', () => other.destroy());
  }
  near.pipe(far).pipe(near);
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
