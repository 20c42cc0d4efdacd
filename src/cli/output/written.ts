import type { Writable } from 'node:stream';

/** Resolves when the stream has taken what is written to it. */
export const written = (stdout: Writable, lines: string | Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    stdout.write(lines, (error) => (error ? reject(error) : resolve()));
  });
