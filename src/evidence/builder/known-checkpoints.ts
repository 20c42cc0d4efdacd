import { type Continuity, continuityOf, tilesForContinuity } from '../growth/known-checkpoint.ts';
import { among } from '../growth/logs-in-memory.ts';
import type { Checkpoint } from '../notes/checkpoint.ts';
import type { Claim, EvidenceStore, StoredLogs } from './ports.ts';

/** A checkpoint that is known, and what the stored logs are against it. */
export interface Contradiction {
  readonly continuity: Exclude<Continuity, 'consistent'>;
  readonly reason: string;
}

/**
 * The largest checkpoint of each log that this process has signed or read: the nearest of all anchors. It outlives a database that goes
 * back while the process runs.
 */
export class KnownCheckpoints {
  readonly #byOrigin = new Map<string, Checkpoint>();
  /**
   * The claim under which everything that was ever signed is known: what was stored at its start, and what this process signed since. Not
   * the number of its epoch, which a database that went back gives out once more.
   */
  #completeUnder: Claim | undefined;

  learn({ origin, size, root }: Checkpoint): void {
    if ((this.#byOrigin.get(origin)?.size ?? -1) < size) this.#byOrigin.set(origin, { origin, size, root });
  }

  isComplete(claim: Claim): boolean {
    return this.#completeUnder === claim;
  }

  complete(claim: Claim): void {
    this.#completeUnder = claim;
  }

  /** Why the stored logs cannot go on; undefined if they hold all that is known. */
  async contradiction(
    { generation, events, journal }: Pick<StoredLogs, 'generation' | 'events' | 'journal'>,
    readTiles: EvidenceStore['readTiles'],
  ): Promise<Contradiction | undefined> {
    for (const [log, { origin, size }] of [
      ['events', events],
      ['journal', journal],
    ] as const) {
      const known = this.#byOrigin.get(origin);
      if (known === undefined) continue;
      const tiles = await readTiles(log, generation, tilesForContinuity(known, size));
      const continuity = continuityOf(known, size, among(tiles));
      if (continuity === 'behind') {
        return { continuity, reason: `a checkpoint of ${known.size} ${log} was signed, and here are ${size}` };
      }
      if (continuity === 'forked') {
        return { continuity, reason: `the first ${known.size} ${log} are not those of the checkpoint that was signed` };
      }
    }
    return undefined;
  }
}
