import { hash } from 'node:crypto';

/** Length of every hash of the evidence. */
export const HASH_BYTES = 32;

/** SHA-256. */
export const sha256 = (data: Uint8Array): Buffer => Buffer.from(hash('sha256', data, 'binary'), 'binary');

/** As `sha256`, written into `target` at `at`. By a string, since a Buffer for each hash costs three times as much. */
export const writeSha256 = (data: Uint8Array, target: Buffer, at: number): void => {
  target.write(hash('sha256', data, 'binary'), at, 'binary');
};
