import { consistencyRanges } from '../../../src/evidence/tree/proofs.ts';
import { emptyRoot, nodeHash } from '../../../src/evidence/tree/tiles.ts';

interface Tree {
  readonly size: number;
  readonly root: Uint8Array;
}

/** RFC 6962, 2.1.2, as a witness verifies it. */
export const isConsistent = (from: Tree, to: Tree, proof: readonly Uint8Array[]): boolean => {
  if (from.size > to.size) return false;
  const ranges = consistencyRanges(from.size, to.size);
  if (ranges.length !== proof.length) return false;
  if (from.size === 0) return emptyRoot.equals(from.root) && (to.size > 0 || emptyRoot.equals(to.root));
  const isPrefix = (ranges[0]?.start ?? from.size) < from.size && ranges[0]?.end === from.size;
  const seed = isPrefix ? proof[0] : from.root;
  let before: Buffer = Buffer.from(seed ?? []);
  let after = before;
  for (const [at, other] of proof.entries()) {
    if (isPrefix && at === 0) continue;
    if ((ranges[at]?.start ?? 0) >= from.size) after = nodeHash(after, other);
    else [before, after] = [nodeHash(other, before), nodeHash(other, after)];
  }
  return before.equals(from.root) && after.equals(to.root);
};
