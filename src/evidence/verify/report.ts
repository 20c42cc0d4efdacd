import { withoutControls } from '../../text/terminal.ts';
import { type BundleTime, bundleTimeText } from '../bundle/time-of-bundle.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import type { StatedCoverage } from './statements/source-coverage.ts';

/** What does not hold. Stable names. */
export type FaultCode =
  | 'policy' // cannot be read: nothing can be believed
  | 'checkpoint' // is missing, cannot be read, or is not signed as the policy requires
  | 'tile' // is missing, is not what its leaves give, or belongs to no tree of this size
  | 'root' // the leaves do not give the root that is signed
  | 'payload' // cannot be read, or is not what its leaf says
  | 'leaf' // is not the one in the tree
  | 'missing' // an event has no payload, and no drop says why
  | 'statement' // cannot be read, or speaks of a tree that never was
  | 'journal' // has other statements than those that are signed
  | 'time' // of a bundle cannot be read, or is that of an event whose content is not there
  | 'chain' // of a source: an event is missing or stands elsewhere
  | 'source' // of a leaf is stated otherwise
  | 'coverage' // shrank without a reason
  | 'drop' // of positions that cannot be dropped, too early, or of other events than it says
  | 'hold' // is added or released twice
  | 'reads' // are not those that are stated, or are missing
  | 'change' // a later content is not the one that is stated, or is missing
  | 'fork' // says that it goes on from another log than it does
  | 'anchor' // says that the log was another one
  | 'manifest'; // a file is not the one that README.txt lists, is there twice, or is a link

/** Faults after which nothing else that a bundle says can be believed. */
const fundamental = ['policy', 'checkpoint', 'root', 'tile'] as const satisfies readonly FaultCode[];

/** Something that does not hold. */
export interface Fault {
  readonly code: FaultCode;
  /** A sentence for the reader of a report. */
  readonly message: string;
  /** Of the event that is meant, if it is one. */
  readonly position?: number;
}

/** So many faults of a code are kept: a rewritten history has millions. */
const MAX_KEPT = 100;

/** What a verifier found. It holds if there are no faults; what it does not claim is said as well. */
export class Report {
  readonly faults: Fault[] = [];
  /** Also of those that are not kept. */
  readonly faultCounts = new Map<FaultCode, number>();
  /** Whether something that the operator does not hold says that the log was this one: a checkpoint that was kept, a witness. */
  isAnchored = false;
  /** Whether the bundle is of one source, and which, once that is known. */
  isOfOneSource = false;
  source: { readonly kind: string; readonly id: string } | undefined;
  /** The time that the bundle is of, if it is not of all. */
  time: BundleTime | undefined;
  /** What the last coverage statement of each source says, for programs. */
  readonly coverage: StatedCoverage[] = [];
  /** Sentences. */
  readonly notClaimed: string[] = [];
  readonly #claims: { readonly needs: readonly FaultCode[]; readonly text: string }[] = [];

  /** What holds: sentences. */
  get claims(): readonly string[] {
    return this.#claims
      .filter(({ needs }) => ![...fundamental, ...needs].some((code) => this.faultCounts.has(code)))
      .map(({ text }) => text);
  }

  /** What is said before all else: what the bundle is of, if it is not of everything. */
  get subject(): string | undefined {
    const { source, time } = this;
    const named = source === undefined ? 'unknown' : `${source.kind} ${source.id}`;
    const parts = [
      ...(this.isOfOneSource ? [`a bundle of one source: ${named}`] : []),
      ...(time === undefined ? [] : [`a bundle of a time: ${bundleTimeText(time)}`]),
    ];
    return parts.length === 0 ? undefined : onOneLine(parts.join('; '));
  }

  get holds(): boolean {
    return this.faults.length === 0;
  }

  /** It holds unless there is a fault of these codes, or one after which nothing can be believed. */
  claim(needs: readonly FaultCode[], text: string): void {
    this.#claims.push({ needs, text: onOneLine(text) });
  }

  /** It is not claimed. */
  note(text: string): void {
    this.notClaimed.push(onOneLine(text));
  }

  fault(code: FaultCode, message: string, position?: number): void {
    const before = this.faultCounts.get(code) ?? 0;
    this.faultCounts.set(code, before + 1);
    if (before < MAX_KEPT)
      this.faults.push({ code, message: onOneLine(message), ...(position === undefined ? {} : { position }) });
  }

  /** What `read` gives; undefined and a fault if it throws an EvidenceFault. `where` names the file or line. */
  attempt<T>(code: FaultCode, where: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      this.fault(code, `${where}: ${error.message}`);
      return undefined;
    }
  }
}

/** Names in a bundle are those of its maker: a line break in one would begin a line of the report, and a terminal would obey others. */
const onOneLine = (text: string): string => withoutControls(text).replaceAll(/[\n\t\u2028\u2029]/g, ' ');
