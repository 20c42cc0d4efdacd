import { sha256 } from '../crypto/sha256.ts';

/** What README.txt lists: a line for each file, as `sha256sum` writes it. */
export const writeManifest = (files: Iterable<readonly [path: string, bytes: Uint8Array]>): string =>
  writeManifestLines([...files].map(([path, bytes]) => [path, sha256(bytes).toString('hex')]));

/** The same, from the SHA-256 of each file in hexadecimal digits. */
export const writeManifestLines = (files: Iterable<readonly [path: string, sha256: string]>): string =>
  [...files].map(([path, hash]) => `${hash}  ${path}\n`).join('');

/** The path and the SHA-256 of each file that a README.txt lists. All other lines are for the reader. */
export const readManifest = (readme: Uint8Array): [path: string, sha256: string][] => {
  // A carriage return is a part of the name: sha256sum takes it so.
  const lines = Buffer.from(readme).toString().split('\n');
  return lines.flatMap((line): [path: string, sha256: string][] => {
    const [, hash, path] = /^([0-9a-f]{64}) {2}(.+)$/s.exec(line) ?? [];
    return hash === undefined || path === undefined ? [] : [[path, hash]];
  });
};
