import { connect, createServer } from 'node:net';
import { listen } from './listen.ts';

/** A network before a server that resets connections: both sides see an RST, and what is under way is lost. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that it has reset up to now. */
  cuts(): number;
}

/**
 * Passes bytes on in both directions, and the end of each; after so many bytes of the client as `nextLimit` says for each
 * connection, undefined indefinitely, it resets both sides.
 */
export const startCuttingProxy = async (
  targetPort: number,
  nextLimit: () => number | undefined,
): Promise<CuttingProxy> => {
  let cuts = 0;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const reset = () => {
      for (const socket of [near, far]) socket.resetAndDestroy();
    };
    for (const socket of [near, far]) socket.on('error', reset);
    near.on('close', () => far.destroy());
    const limit = nextLimit();
    let passed = 0;
    near.on('data', (chunk: Buffer) => {
      const rest = limit === undefined ? chunk.length : limit - passed;
      passed += chunk.length;
      if (!far.write(chunk.subarray(0, rest))) {
        near.pause();
        far.once('drain', () => near.resume());
      }
      if (rest >= chunk.length) return;
      cuts += 1;
      reset();
    });
    near.on('end', () => far.end());
    far.pipe(near);
  });
  return { ...(await listen(server)), cuts: () => cuts };
};
