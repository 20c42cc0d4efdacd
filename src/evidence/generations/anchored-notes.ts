import type { Anchor, AnchorHistory } from '../anchors/ports.ts';
import { tags } from '../leaves/leaf.ts';
import type { LogName } from '../notes/origin.ts';
import { GrowingTree } from '../tree/growing-tree.ts';
import { leafHash } from '../tree/merkle.ts';
import { believed, type KnownNote } from './known-notes.ts';

/** The log that stopped, and what its stored tree is. */
export interface StoppedLog {
  readonly base: string;
  readonly feedId: string;
  readonly generation: number;
  /** Of all keys that signed it. */
  readonly publicKeys: readonly Uint8Array[];
  /** Whether the stored tree goes on from a checkpoint. */
  readonly isHeld: (known: KnownNote) => Promise<boolean>;
}

/** What an anchor has of a log that stopped. */
export interface Anchored {
  readonly notes: readonly KnownNote[];
  /** The statements of its journals, of this generation and of later ones. */
  readonly statements: readonly string[];
  /** How many are signed: the text of the last ones may lack. */
  readonly signedStatements: number;
}

/** So many generations without a checkpoint may lie between two that have one. */
const MAX_MISSING = 10;
/** Files that the log has not signed are passed over, so many in a row at most. */
const MAX_UNSIGNED = 20;

/**
 * What an anchor has that a fork must know: the newest checkpoint of this generation and of each later one, whose number must not be given
 * again; of this one the largest that the stored tree holds beside the smallest that it contradicts, which give the common size; and what
 * was stated. Rejects if the anchor cannot be read.
 */
export const readAnchored = async (anchor: Anchor, log: StoppedLog): Promise<Anchored> => {
  if (anchor.history === undefined) return { notes: [], statements: [], signedStatements: 0 };
  const found: KnownNote[] = [];
  const statements: string[] = [];
  let signedStatements = 0;
  for (let generation = log.generation, missing = 0; missing < MAX_MISSING; generation += 1) {
    const history = await anchor.history({ log: 'events', generation });
    const notes = new SignedNotes(history, { ...log, generation });
    const newest = await notes.before(history.sizes.length);
    missing = newest === undefined ? missing + 1 : 0;
    if (newest === undefined) continue;
    found.push(newest.known);
    const stated = await statementsAt(anchor, { ...log, generation });
    statements.push(...stated.texts);
    signedStatements += stated.signed;
    if (generation === log.generation) found.push(...(await whereTheyPart(notes, newest.index, log.isHeld)));
  }
  return { notes: found, statements, signedStatements };
};

/** The statements up to the newest checkpoint of the journal whose statements all lie there: they come after their checkpoint. */
const statementsAt = async (
  anchor: Anchor,
  log: StoppedLog,
): Promise<{ readonly texts: readonly string[]; readonly signed: number }> => {
  const history = await anchor.history?.({ log: 'journal', generation: log.generation });
  if (history === undefined || anchor.statements === undefined) return { texts: [], signed: 0 };
  const notes = new SignedNotes(history, { ...log, log: 'journal' });
  let at = await notes.before(history.sizes.length);
  if (at === undefined) return { texts: [], signed: 0 };
  const signed = at.known.size;
  let failure: unknown;
  for (let tried = 0; at !== undefined && tried < MAX_UNSIGNED; tried += 1) {
    try {
      const leaves = await anchor.statements(log.generation, at.known.size);
      const tree = new GrowingTree();
      for (const leaf of leaves) tree.append(leafHash(leaf));
      if (tree.root().equals(at.known.root))
        return { texts: leaves.map((leaf) => leaf.toString('utf8', tags.journal.length)), signed };
      failure = new Error(`its ${at.known.size} statements are not those that were signed`);
    } catch (error) {
      failure = error;
    }
    at = await notes.before(at.index);
  }
  throw failure;
};

/** Both ends of the step at which the stored tree and what was given out part: up to there each checkpoint is held, and none after it. */
const whereTheyPart = async (
  notes: SignedNotes,
  newest: number,
  isHeld: StoppedLog['isHeld'],
): Promise<KnownNote[]> => {
  let held: KnownNote | undefined;
  let contradicted: KnownNote | undefined;
  let [low, high] = [0, newest + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const at = await notes.before(middle + 1);
    // Nothing from `low` to the middle is signed.
    if (at === undefined || at.index < low) low = middle + 1;
    else if (await isHeld(at.known)) {
      held = at.known;
      low = middle + 1;
    } else {
      contradicted = at.known;
      high = at.index;
    }
  }
  return [held, contradicted].filter((known) => known !== undefined);
};

/** Those of a history that the log has signed. */
class SignedNotes {
  readonly #history: AnchorHistory;
  readonly #of: Omit<StoppedLog, 'isHeld'> & { readonly log?: LogName };

  constructor(history: AnchorHistory, of: Omit<StoppedLog, 'isHeld'> & { readonly log?: LogName }) {
    this.#history = history;
    this.#of = of;
  }

  /** The last one before an index of the history; undefined: none is near. */
  async before(end: number): Promise<{ readonly known: KnownNote; readonly index: number } | undefined> {
    for (let index = end - 1; index >= Math.max(0, end - MAX_UNSIGNED); index -= 1) {
      const known = believed(await this.#history.read(index), this.#of, ...this.#of.publicKeys);
      if (known !== undefined) return { known, index };
    }
    return undefined;
  }
}
