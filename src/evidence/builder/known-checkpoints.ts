import type { AnchoredCheckpoint } from '../anchor.ts';
import { among } from '../append/log.ts';
import type { Checkpoint } from '../notes/checkpoint.ts';
import { rootOfPrefix, tilesOfRanges } from '../tree/proofs.ts';
import type { EvidenceStore } from './evidence-store.sql.ts';
import type { Claim, StoredLog } from './ports.ts';

export interface Contradiction {
  readonly state: 'behind' | 'halted';
  readonly reason: string;
}

/** The largest checkpoint that this process knows of the log, and those at the anchors. Outlives a database that goes back. */
export class KnownCheckpoints {
  readonly #byOrigin = new Map<string, Checkpoint>();
  readonly #anchored = new Map<string, AnchoredCheckpoint>();
  /** An anchor has something that was not compared yet. */
  hasNews = false;
  /** Under which all is known that was ever signed. The object: a database that went back gives an epoch once more. */
  #completeUnder: Claim | undefined;

  learn({ origin, size, root }: Checkpoint): void {
    if ((this.#byOrigin.get(origin)?.size ?? -1) < size) this.#byOrigin.set(origin, { origin, size, root });
  }

  /** Counts from the next `contradiction` on. */
  learnAnchored(found: AnchoredCheckpoint): void {
    const { anchor, checkpoint } = found;
    const key = `${anchor} ${checkpoint.origin}`;
    const before = this.#anchored.get(key)?.checkpoint;
    if (before?.size === checkpoint.size && Buffer.from(before.root).equals(checkpoint.root)) return;
    this.#anchored.set(key, found);
    this.hasNews = true;
  }

  isComplete(claim: Claim): boolean {
    return this.#completeUnder === claim;
  }

  complete(claim: Claim): void {
    this.#completeUnder = claim;
  }

  /** Undefined: the stored log holds all that is known. What is known of logs before it was stated when it began. */
  async contradiction(
    { origin, size }: Pick<StoredLog, 'origin' | 'size'>,
    readTiles: EvidenceStore['readTiles'],
  ): Promise<Contradiction | undefined> {
    const foreign = [...this.#anchored.values()].find(({ isOfOtherFeed }) => isOfOtherFeed === true);
    if (foreign !== undefined) {
      const { anchor, checkpoint } = foreign;
      const reason = `${anchor} has a checkpoint of ${checkpoint.size} that this key signed as ${checkpoint.origin}, of another feed: if this log is to begin again, give it an anchor of its own`;
      return { state: 'halted', reason };
    }
    for (const { anchor, checkpoint } of this.#knownOf(origin)) {
      const { size: known, root } = checkpoint;
      const kept = anchor === undefined ? 'was signed' : `is kept at ${anchor}`;
      if (known > size)
        return { state: 'behind', reason: `a checkpoint of ${known} leaves ${kept}, and here are ${size}` };
      if (!(await rootOfFirst(readTiles, size, known)).equals(root))
        return { state: 'behind', reason: `the first ${known} leaves are not those of the checkpoint that ${kept}` };
    }
    this.hasNews = false;
    return undefined;
  }

  #knownOf(origin: string): { readonly anchor: string | undefined; readonly checkpoint: Checkpoint }[] {
    const own = this.#byOrigin.get(origin);
    const anchored = [...this.#anchored.values()].filter(({ checkpoint }) => checkpoint.origin === origin);
    return [...(own === undefined ? [] : [{ anchor: undefined, checkpoint: own }]), ...anchored];
  }
}

/** The root of the first leaves, so many, of a stored log. Throws an EvidenceFault for a tile that is missing. */
export const rootOfFirst = async (
  readTiles: EvidenceStore['readTiles'],
  size: number,
  first: number,
): Promise<Buffer> => {
  const ids = first === 0 ? [] : tilesOfRanges([{ start: 0, end: first }], size);
  return rootOfPrefix(first, size, among(await readTiles(ids)));
};
