import { createHash } from 'node:crypto';
import { openCheckpoint, type Policy } from '../../src/evidence/notes/checkpoint.ts';
import { GrowingTree } from '../../src/evidence/tree/growing-tree.ts';
import { consistencyRanges, hashOfRange } from '../../src/evidence/tree/proofs.ts';
import { isConsistent } from '../../test/support/evidence/consistency.ts';
import type { LeafHashes } from './leaf-copy.ts';
import type { SeenCheckpoint } from './seen-checkpoints.ts';

const HASH_BYTES = 32;
/** Beside each one and the next: pairs from anywhere. */
const FAR_PAIRS = 500;

export interface Judgement {
  /** Sentences; none if all is well. */
  readonly faults: readonly string[];
  /** Proofs of consistency that were made and verified. */
  readonly proofs: number;
}

/** Judges all checkpoints of one log: signatures, roots by the copied leaves, and consistency of pairs by proofs of its own. */
export const judgeCheckpoints = (
  seen: readonly SeenCheckpoint[],
  leaves: LeafHashes,
  policy: Policy,
  random: () => number,
): Judgement => {
  const faults: string[] = [];
  const sorted = seen.toSorted((a, b) => a.size - b.size);
  const count = leaves.length / HASH_BYTES;
  const roots = prefixRoots(leaves, new Set(sorted.map(({ size }) => size)));
  for (const { origin, size, root, note, ways } of sorted) {
    const what = `${origin} of ${size}, seen in ${[...ways].join(' and ')}`;
    if (size > count) faults.push(`${what}: there are ${count} leaves`);
    else if (roots.get(size) !== root) faults.push(`${what}: its root is not that of the leaves`);
    if (note !== undefined) faults.push(...faultsOfNote(what, note, policy));
  }
  const within = sorted.filter(({ size }) => size <= count);
  const pairs = within.slice(1).map((to, index) => [within[index] as SeenCheckpoint, to] as const);
  const pick = () => within[Math.floor(random() * within.length)] as SeenCheckpoint;
  for (let far = 0; far < FAR_PAIRS && within.length > 2; far += 1) {
    const [one, other] = [pick(), pick()];
    pairs.push(one.size <= other.size ? [one, other] : [other, one]);
  }
  const prove = proverOf(leaves);
  for (const [from, to] of pairs) {
    if (!isConsistent(withBytes(from), withBytes(to), prove(from.size, to.size))) {
      faults.push(`${from.origin}: ${from.size} is no beginning of ${to.size}`);
    }
  }
  return { faults, proofs: pairs.length };
};

const withBytes = ({ size, root }: SeenCheckpoint) => ({ size, root: Buffer.from(root, 'base64') });

const faultsOfNote = (what: string, note: string, policy: Policy): string[] => {
  try {
    openCheckpoint(Buffer.from(note), policy);
    return [];
  } catch (error) {
    return [`${what}: ${error}`];
  }
};

/** The root of the first so many leaves, for each of these sizes: the perfect trees from the left, merged from the right. */
const prefixRoots = (leaves: LeafHashes, sizes: ReadonlySet<number>): ReadonlyMap<number, string> => {
  const roots = new Map<number, string>();
  const trees: { readonly leaves: number; readonly root: Buffer }[] = [];
  const node = (left: Buffer, right: Buffer) =>
    createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest();
  for (let size = 0; ; size += 1) {
    if (sizes.has(size)) {
      const all = trees.map(({ root }) => root);
      const root =
        all.length === 0 ? createHash('sha256').digest() : all.reduceRight((right, left) => node(left, right));
      roots.set(size, root.toString('base64'));
    }
    if (size * HASH_BYTES >= leaves.length) return roots;
    let last = { leaves: 1, root: leaves.subarray(size * HASH_BYTES, (size + 1) * HASH_BYTES) };
    while (trees.at(-1)?.leaves === last.leaves) {
      const left = trees.pop();
      if (left !== undefined) last = { leaves: last.leaves * 2, root: node(left.root, last.root) };
    }
    trees.push(last);
  }
};

const proverOf = (leaves: LeafHashes) => {
  const tree = new GrowingTree();
  const tiles = new Map<string, Buffer>();
  for (let at = 0; at < leaves.length; at += HASH_BYTES) tree.append(leaves.subarray(at, at + HASH_BYTES));
  for (const { level, n, hashes } of tree.takeTiles()) tiles.set(`${level}/${n}`, hashes);
  // Tiles of the whole tree: a range is cut as the smaller tree cuts it, and its parts are perfect in both.
  return (from: number, to: number): Buffer[] =>
    consistencyRanges(from, to).map((range) =>
      hashOfRange(range, tree.size, ({ level, n }) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0)),
    );
};
