import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { createCa, createCertificate } from '../network/certificates.ts';
import { listen } from '../network/listen.ts';
import { framed, onFrames } from './receivers/kafka.ts';

/** So much of a broker as it takes to be told a password by SASL PLAIN over TLS, and to refuse it. */
export const startSaslBroker = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-sasl-'));
  const ca = await createCa(directory, 'broker-ca');
  const { cert, key } = await createCertificate(directory, ca, 'localhost');
  const credentials: string[] = [];
  const answers = createServer({ cert: await readFile(cert), key: await readFile(key) }, (socket) => {
    socket.on('error', () => {});
    onFrames(socket, (frame) => {
      const correlation = frame.subarray(4, 8);
      const api = frame.readInt16BE(0);
      if (api === SASL_HANDSHAKE) return socket.write(framed(Buffer.concat([correlation, noError, mechanisms])));
      credentials.push(frame.toString('utf8'));
      // Read by the client before the connection is reset.
      return socket.write(framed(Buffer.concat([correlation, refusal])), () => {
        if (!isResetting) return;
        for (const each of sockets) each.resetAndDestroy();
      });
    });
  });
  answers.on('tlsClientError', () => {});
  // Those below TLS, which can be reset.
  const sockets = new Set<Socket>();
  answers.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))));
  let isResetting = false;
  const listening = await listen(answers);
  return {
    port: listening.port,
    caFile: ca.cert,
    /** What came by SASL, with what stands around it. */
    credentials,
    /** From now on, a refusal ends all connections at once. */
    resetThem: () => {
      isResetting = true;
    },
    [Symbol.asyncDispose]: async () => {
      await listening[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
};

const SASL_HANDSHAKE = 17;
/** Of SaslAuthenticate 2: tags; SASL_AUTHENTICATION_FAILED; no message, no bytes, no lifetime; tags. */
const refusal = Buffer.from([0, 0, 58, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const noError = Buffer.from([0, 0]);
const mechanisms = Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 5]), Buffer.from('PLAIN')]);
