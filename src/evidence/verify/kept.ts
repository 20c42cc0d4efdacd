import { EvidenceFault } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../notes/checkpoint.ts';
import { keyOfLog, type Policy } from '../notes/policy.ts';
import { parseNote, type VerifierKey, verifyNote } from '../notes/signed-note.ts';
import type { Report } from './report.ts';
import { logNumber, type Statements } from './statements.ts';

/** A checkpoint that was kept elsewhere, or that the operator's database remembers. */
export interface KeptNote {
  readonly name: string;
  readonly note: Uint8Array;
  /** From the folder `anchors/` of the bundle. */
  readonly isOfBundle?: boolean;
}

interface Kept extends KeptNote {
  readonly checkpoint: Checkpoint;
}

/** Chapter 5: every kept checkpoint is the root of a prefix. */
export class KeptCheckpoints {
  readonly #report: Report;
  readonly #kept: Kept[];

  constructor(report: Report, notes: readonly KeptNote[]) {
    this.#report = report;
    this.#kept = notes.flatMap((kept) => {
      const checkpoint = this.#attempt(kept, () => parseCheckpoint(parseNote(kept.note).text));
      return checkpoint === undefined ? [] : [{ ...kept, checkpoint }];
    });
  }

  get sizes(): number[] {
    return this.#kept.map(({ checkpoint }) => checkpoint.size);
  }

  /** After the leaves. */
  judge(statements: Statements, policy: Policy, size: number, roots: ReadonlyMap<number, Buffer | undefined>): void {
    for (const kept of this.#kept) this.#judge(kept, statements, policy, size, roots);
  }

  #judge(
    kept: Kept,
    statements: Statements,
    policy: Policy,
    size: number,
    roots: ReadonlyMap<number, Buffer | undefined>,
  ): void {
    const { checkpoint } = kept;
    const last = statements.begins.at(-1);
    if (last === undefined) return;
    const number = logNumber(checkpoint.origin, last);
    if (number === undefined) {
      if (checkpoint.origin.startsWith(`${last.base}/`)) this.#fault(kept, `is of another feed, ${checkpoint.origin}`);
      else this.#report.say(`${kept.name} is of another log, ${checkpoint.origin}: it tells nothing of this one`);
      return;
    }
    if (number > last.number) {
      this.#fault(kept, `is of log ${number}, which is later than this one`);
      return;
    }
    if (checkpoint.size > size) {
      this.#fault(
        kept,
        `has ${checkpoint.size} leaves, and there are ${size}${this.#stated(kept, number, statements)}`,
      );
      return;
    }
    const root = roots.get(checkpoint.size);
    if (root === undefined) {
      this.#report.say(`${kept.name} cannot be compared: roots hide where it ends. Export with --anchor for it`);
      return;
    }
    if (!root.equals(checkpoint.root)) {
      this.#fault(
        kept,
        `is not the root of the first ${checkpoint.size} leaves${this.#stated(kept, number, statements)}`,
      );
      return;
    }
    const signers = this.#attempt(kept, () => this.#signersOf(kept, number, statements, policy));
    if (signers === undefined) return;
    const [only, ...others] = signers.map(({ publicKey }) => Buffer.from(publicKey).toString('hex'));
    const isStolen = only !== undefined && [only, ...others].every((key) => statements.stolenKeys.has(key));
    if (isStolen) this.#report.say(`${kept.name} is signed by a stolen key alone`);
    if (kept.isOfBundle === true) {
      this.#report.say(
        `${kept.name}, ${checkpoint.size} leaves, agrees; that it was kept elsewhere is the word of the bundle`,
      );
      return;
    }
    this.#report.claim('kept', `${kept.name}: the first ${checkpoint.size} leaves are those of when it was kept`);
    if (!isStolen) this.#report.keptSize = Math.max(this.#report.keptSize, checkpoint.size);
  }

  /** Of keys that this tree names for that log, or of the policy. */
  #signersOf(
    { note, checkpoint }: Kept,
    number: number,
    { keys }: Statements,
    { logs, witnesses }: Policy,
  ): VerifierKey[] {
    const own = keys
      .filter((one) => one.number === number)
      .map(({ key }) => keyOfLog(checkpoint.origin, Buffer.from(key, 'hex')));
    const known = [...own, ...logs, ...witnesses];
    const unique = known.filter(
      (key, at) => known.findIndex(({ name, id }) => name === key.name && id === key.id) === at,
    );
    const { signers } = verifyNote(parseNote(note), unique);
    const signed = signers.map(({ key }) => key).filter(({ name }) => name === checkpoint.origin);
    if (signed.length === 0) throw new EvidenceFault('is not signed by a key of its log');
    return signed;
  }

  #stated({ checkpoint }: Kept, number: number, { begins }: Statements): string {
    const loss = begins.find(
      (begin) => begin.number > number && begin.before !== undefined && begin.carried < checkpoint.size,
    );
    return loss === undefined ? '' : `; leaf ${loss.index} states that log ${loss.number} carries ${loss.carried}`;
  }

  #attempt<T>(kept: KeptNote, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      this.#fault(kept, error.message);
      return undefined;
    }
  }

  #fault({ name }: KeptNote, what: string): void {
    this.#report.fault('kept', `${name} ${what}`);
    this.#report.first.push(`a kept checkpoint does not agree: ${name} ${what}`);
  }
}
