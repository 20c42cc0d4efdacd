import { createHash } from 'node:crypto';

/*
 * RFC 6962, section 2.1, as it is written there: recursive, from the data of all leaves, without tiles. The reference for what
 * src/evidence/tree does by tiles.
 */

const digest = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export const naiveLeaf = (data: Uint8Array): Buffer => digest(Buffer.from([0]), data);
const node = (left: Uint8Array, right: Uint8Array): Buffer => digest(Buffer.from([1]), left, right);

/** The largest power of two smaller than n. */
const split = (n: number): number => 2 ** Math.floor(Math.log2(n - 1));

/** MTH(D[n]), of hashes of leaves. */
export const naiveRoot = (leaves: readonly Buffer[]): Buffer => {
  if (leaves.length === 0) return digest();
  if (leaves.length === 1) return leaves[0] as Buffer;
  const k = split(leaves.length);
  return node(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
};

/** PROOF(m, D[n]). */
export const naiveConsistency = (m: number, leaves: readonly Buffer[]): Buffer[] => subProof(m, leaves, true);

const subProof = (m: number, leaves: readonly Buffer[], isWhole: boolean): Buffer[] => {
  if (m === leaves.length) return isWhole ? [] : [naiveRoot(leaves)];
  const k = split(leaves.length);
  return m <= k
    ? [...subProof(m, leaves.slice(0, k), isWhole), naiveRoot(leaves.slice(k))]
    : [...subProof(m - k, leaves.slice(k), false), naiveRoot(leaves.slice(0, k))];
};
