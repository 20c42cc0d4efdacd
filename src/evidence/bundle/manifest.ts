import { sha256 } from '../crypto/sha256.ts';

/** What README.txt lists: a line for each file, as `sha256sum` writes it. */
export const writeManifest = (files: Iterable<readonly [path: string, bytes: Uint8Array]>): string =>
  [...files].map(([path, bytes]) => `${sha256(bytes).toString('hex')}  ${path}\n`).join('');

/** The path and the SHA-256 of each file that a README.txt lists. All other lines are for the reader. */
export const readManifest = (readme: Uint8Array): [path: string, sha256: string][] => {
  const lines = Buffer.from(readme)
    .toString()
    .matchAll(/^([0-9a-f]{64}) {2}(.+)$/gm);
  return [...lines].map(([, hash = '', path = '']) => [path, hash]);
};
