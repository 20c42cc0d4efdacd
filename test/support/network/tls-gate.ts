import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { KeyPair } from './server-certificates.ts';

/** A TLS server before an API that speaks plain HTTP. */
export interface TlsGate extends AsyncDisposable {
  /** Of the host `localhost`. */
  readonly port: number;
  /** Shows this certificate from now on, to new connections. */
  show(certificate: KeyPair): void;
}

export const startTlsGate = async (targetPort: number, certificate: KeyPair): Promise<TlsGate> => {
  const sockets = new Set<Socket>();
  const server = createServer(certificate, (near) => {
    const far = connect(targetPort, '127.0.0.1');
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
  // A client that does not like the certificate goes away in the middle of the handshake.
  server.on('tlsClientError', () => {});
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  // `localhost` may be either family; the wildcard address takes both.
  server.listen(0);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    show: (next) => {
      server.setSecureContext(next);
      breakAll();
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      breakAll();
      await once(server, 'close');
    },
  };
};
