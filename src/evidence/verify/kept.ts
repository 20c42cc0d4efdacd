import { EvidenceFault } from '../bytes.ts';
import { type Checkpoint, keyOfLog, type Policy, parseCheckpoint } from '../notes/checkpoint.ts';
import { parseNote, verifyNote } from '../notes/signed-note.ts';
import type { Fold } from './leaves.ts';
import type { Report } from './report.ts';
import { type Begin, logNumber, type Statements } from './statements.ts';

/** A checkpoint that was kept elsewhere, or that the operator's database remembers. */
export interface KeptNote {
  readonly name: string;
  readonly note: Uint8Array;
  /** From the folder `anchors/` of the bundle. */
  readonly isOfBundle?: boolean;
}

/** Chapter 5: every kept checkpoint is the root of a prefix. */
export class KeptCheckpoints {
  readonly #report: Report;
  readonly #kept: { readonly kept: KeptNote; readonly checkpoint: Checkpoint }[] = [];

  constructor(report: Report, notes: readonly KeptNote[]) {
    this.#report = report;
    for (const kept of notes)
      this.#attempt(kept, () => {
        this.#kept.push({ kept, checkpoint: parseCheckpoint(parseNote(kept.note).text) });
      });
  }

  get sizes(): number[] {
    return this.#kept.map(({ checkpoint }) => checkpoint.size);
  }

  /** After the leaves. */
  judge(statements: Statements, policy: Policy, { size, roots }: Pick<Fold, 'size' | 'roots'>): void {
    const last = statements.begins.at(-1);
    for (const { kept, checkpoint } of last === undefined ? [] : this.#kept)
      this.#attempt(kept, () => this.#judge(kept, checkpoint, last as Begin, { statements, policy, size, roots }));
  }

  /** Throws an EvidenceFault. */
  #judge({ name, note, isOfBundle }: KeptNote, checkpoint: Checkpoint, last: Begin, tree: Judged): void {
    const { origin, size, root } = checkpoint;
    const { statements, policy } = tree;
    const number = logNumber(origin, last);
    if (number === undefined && !origin.startsWith(`${last.base}/`)) {
      this.#report.say(`${name} is of another log, ${origin}: it tells nothing of this one`);
      return;
    }
    if (number === undefined) throw new EvidenceFault(`is of another feed, ${origin}`);
    if (number > last.number) throw new EvidenceFault(`is of log ${number}, which is later than this one`);
    const loss = statements.begins.find(
      (begin) => begin.number > number && begin.before !== undefined && begin.carried < size,
    );
    const stated =
      loss === undefined ? '' : `; leaf ${loss.index} states that log ${loss.number} carries ${loss.carried}`;
    if (size > tree.size) throw new EvidenceFault(`has ${size} leaves, and there are ${tree.size}${stated}`);
    const here = tree.roots.get(size);
    if (here === undefined) {
      this.#report.say(`${name} cannot be compared: roots hide where it ends. Export with --anchor for it`);
      return;
    }
    if (!here.equals(root)) throw new EvidenceFault(`is not the root of the first ${size} leaves${stated}`);
    const isStolen = signersOf(note, origin, number, statements, policy).every((key) => statements.stolenKeys.has(key));
    if (isStolen) this.#report.say(`${name} is signed by a stolen key alone`);
    if (isOfBundle === true) {
      this.#report.say(`${name}, ${size} leaves, agrees; that it was kept elsewhere is the word of the bundle`);
      return;
    }
    this.#report.claim('kept', `${name}: the first ${size} leaves are those of when it was kept`);
    if (!isStolen) this.#report.keptSize = Math.max(this.#report.keptSize, size);
  }

  #attempt({ name }: KeptNote, judge: () => void): void {
    try {
      judge();
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      this.#report.fault('kept', `${name} ${error.message}`);
      this.#report.first.push(`a kept checkpoint does not agree: ${name} ${error.message}`);
    }
  }
}

interface Judged extends Pick<Fold, 'size' | 'roots'> {
  readonly statements: Statements;
  readonly policy: Policy;
}

/** In hexadecimal: of keys that this tree names for that log, or of the policy. Throws an EvidenceFault if there is none. */
const signersOf = (
  note: Uint8Array,
  origin: string,
  number: number,
  { keys }: Statements,
  { logs, witnesses }: Policy,
): string[] => {
  const own = keys.filter((one) => one.number === number).map(({ key }) => keyOfLog(origin, Buffer.from(key, 'hex')));
  const { signers } = verifyNote(parseNote(note), [...own, ...logs, ...witnesses]);
  const signed = signers.map(({ key }) => key).filter(({ name }) => name === origin);
  if (signed.length === 0) throw new EvidenceFault('is not signed by a key of its log');
  return signed.map(({ publicKey }) => Buffer.from(publicKey).toString('hex'));
};
