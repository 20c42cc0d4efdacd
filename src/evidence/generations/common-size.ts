import type { KnownNote } from './known-notes.ts';

/** So much of the stored tree is certain to be what a known checkpoint has. */
export interface CommonTree {
  readonly size: number;
  readonly root: Buffer;
}

/**
 * The largest known checkpoint that the stored tree goes on from, below the smallest of `kept` that it contradicts; the empty tree if there
 * is none. What is kept elsewhere is the history that was given out. What the database itself has may be of after it went back, so it counts
 * only below that, and if none of `kept` is held below that. `stored` comes in descending order and is read only as far as needed.
 */
export const commonTree = async (
  size: number,
  kept: readonly KnownNote[],
  stored: Iterable<KnownNote>,
  rootAt: (size: number) => Promise<Buffer>,
): Promise<CommonTree> => {
  const isHeld = async (known: KnownNote) => known.size <= size && (await rootAt(known.size)).equals(known.root);
  let bound = Number.POSITIVE_INFINITY;
  let common = 0;
  for (const known of kept) {
    if (known.size <= size && !(await isHeld(known))) bound = Math.min(bound, known.size);
  }
  for (const known of kept) {
    if (known.size < bound && known.size > common && (await isHeld(known))) common = known.size;
  }
  // Between both, one that is stored may be of after the database went back.
  const isBounded = bound < Number.POSITIVE_INFINITY && common > 0;
  for (const known of isBounded ? [] : stored) {
    if (known.size <= common) break;
    if (known.size < bound && (await isHeld(known))) {
      common = known.size;
      break;
    }
  }
  return { size: common, root: await rootAt(common) };
};
