import { connect } from 'node:net';
import { createServer } from 'node:tls';
import { listen } from './listen.ts';
import type { KeyPair } from './server-certificates.ts';
import { passOn } from './tcp-proxy.ts';

/** A TLS server before an API that speaks plain HTTP. */
export interface TlsGate extends AsyncDisposable {
  /** Of the host `localhost`. */
  readonly port: number;
  /** Shows this certificate from now on, to new connections. */
  show(certificate: KeyPair): void;
}

export const startTlsGate = async (targetPort: number, certificate: KeyPair): Promise<TlsGate> => {
  const server = createServer(certificate, (near) => passOn(near, connect(targetPort, '127.0.0.1')));
  // A client that does not like the certificate goes away in the middle of the handshake.
  server.on('tlsClientError', () => {});
  // `localhost` may be either family; the wildcard address takes both.
  const listening = await listen(server, 0, '');
  return {
    ...listening,
    show: (next) => {
      server.setSecureContext(next);
      listening.breakAll();
    },
  };
};
