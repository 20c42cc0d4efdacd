import { withoutControls } from '../../base/text.ts';
import { type BundleTime, bundleTimeText } from '../bundle/layout.ts';
import { EvidenceFault } from '../bytes.ts';
import type { RangeTexts } from '../journal/ranges.ts';
import type { StatementOf } from '../journal/statement.ts';

/** Stable names. */
type FaultCode =
  | 'policy' // cannot be read: nothing can be believed
  | 'checkpoint' // is missing, cannot be read, or is not signed as the policy requires
  | 'tile' // is missing, is not what its leaves give, or belongs to no tree of this size
  | 'root' // the leaves do not give the root that is signed
  | 'payload' // cannot be read, or is not what its leaf says
  | 'leaf' // is not the one in the tree
  | 'column' // beside raw is not what raw says
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

/** After one of these, nothing that a bundle says can be believed. */
const fundamental = ['policy', 'checkpoint', 'root', 'tile'] as const satisfies readonly FaultCode[];

/** Faults that differ in their position alone are one. */
interface Fault {
  readonly code: FaultCode;
  /** A sentence: that of the first. */
  readonly message: string;
  readonly position?: number;
  readonly count: number;
  /** The first ones found. */
  readonly positions: readonly number[];
}

/** Of a code and of a fault: a rewritten history has millions. */
const MAX_KEPT = 100;
const MAX_POSITIONS = 20;
/** For people. */
const SHOWN_POSITIONS = 4;

export const faultText = ({ message, count, positions }: Fault): string => {
  if (count === 1) return message;
  const others = positions.slice(1, SHOWN_POSITIONS + 1);
  const more = count > others.length + 1 ? ', …' : '';
  return `${message} (${count} times${others.length === 0 ? '' : `, also at ${others.join(', ')}${more}`})`;
};

/** It holds if there are no faults. */
export class Report {
  readonly faults: Fault[] = [];
  /** Also of faults that are not kept. */
  readonly faultCounts = new Map<FaultCode, number>();
  /** By something that the operator does not hold: a kept checkpoint, a witness. */
  isAnchored = false;
  /** All of both logs, not only their beginnings. */
  isAnchoredToTheEnd = false;
  isOfOneSource = false;
  source: { readonly kind: string; readonly id: string } | undefined;
  time: BundleTime | undefined;
  readonly coverage: StatedCoverage[] = [];
  readonly notClaimed: string[] = [];
  /** Said before all that holds. */
  readonly notCompared: string[] = [];
  /** For lack of what it takes. */
  readonly notChecked: string[] = [];
  readonly #claims: { readonly needs: readonly FaultCode[]; readonly text: string; readonly isBelieved: boolean }[] =
    [];
  readonly #byCause = new Map<string, GrowingFault>();

  get claims(): readonly string[] {
    return this.#claims
      .filter(({ needs }) => ![...fundamental, ...needs].some((code) => this.faultCounts.has(code)))
      .map(({ text, isBelieved }) =>
        isBelieved && !this.isAnchoredToTheEnd ? `${text}, ${AS_FAR_AS_BELIEVED}` : text,
      );
  }

  /** Said before all else. */
  get unread(): string | undefined {
    const gaps = this.coverage.flatMap(({ source, gaps: ranges }) => ranges.map((range) => ({ source, range })));
    const holes = this.coverage.reduce((sum, { holes: ones }) => sum + ones.length, 0);
    const unread = this.coverage.filter(({ ranges }) => ranges.length === 0).length;
    if (gaps.length + holes + unread === 0) return undefined;
    const first =
      gaps[0] && `; the first gap: ${gaps[0].source.kind} ${gaps[0].source.id} ${textOfRange(gaps[0].range)}`;
    const nothing = unread === 0 ? '' : `, and of ${countOf(unread, 'source')} nothing is stated as read`;
    return onOneLine(
      `not everything was read: ${countOf(gaps.length, 'gap')} and ${countOf(holes, 'hole')}${nothing}${first ?? ''}; all are named under "not claimed"`,
    );
  }

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

  /** Holds unless there is a fault of these codes, or a fundamental one. */
  claim(needs: readonly FaultCode[], text: string): void {
    this.#claims.push({ needs, text: onOneLine(text), isBelieved: false });
  }

  /** Sounds absolute, and is the word of the signer unless something kept elsewhere says it, too. */
  claimAsBelieved(needs: readonly FaultCode[], text: string): void {
    this.#claims.push({ needs, text: onOneLine(text), isBelieved: true });
  }

  skip(text: string): void {
    this.notChecked.push(onOneLine(text));
  }

  note(text: string): void {
    this.notClaimed.push(onOneLine(text));
  }

  /** Of what an auditor kept. */
  noteNotCompared(text: string): void {
    this.note(text);
    this.notCompared.push(onOneLine(text));
  }

  fault(code: FaultCode, message: string, position?: number): void {
    this.faultCounts.set(code, (this.faultCounts.get(code) ?? 0) + 1);
    const text = onOneLine(message);
    const cause = `${code} ${position === undefined ? text : text.replace(String(position), '')}`;
    const known = this.#byCause.get(cause);
    if (known !== undefined) {
      known.count += 1;
      if (position !== undefined && known.positions.length < MAX_POSITIONS) known.positions.push(position);
      return;
    }
    if (this.faults.filter((one) => one.code === code).length >= MAX_KEPT) return;
    const positions = position === undefined ? [] : [position];
    const fault = { code, message: text, ...(position !== undefined && { position }), count: 1, positions };
    this.#byCause.set(cause, fault);
    this.faults.push(fault);
  }

  /** Undefined and a fault for an EvidenceFault. `where` names the file or line. */
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

interface GrowingFault extends Fault {
  count: number;
  readonly positions: number[];
}

const AS_FAR_AS_BELIEVED = 'as far as the signer is believed';

const countOf = (count: number, word: string): string =>
  count < 2 ? `${count === 0 ? 'no' : count} ${word}` : `${count} ${word}s`;

const textOfRange = ([from, to]: readonly [string | null, string | null]): string =>
  `from ${from ?? 'the beginning'} to ${to ?? 'the end'}`;

/** A line break in a name of the bundle's maker would begin a line of the report, and a terminal would obey other controls. */
const onOneLine = (text: string): string => withoutControls(text).replaceAll(/[\n\t\u2028\u2029]/g, ' ');

type Coverage = StatementOf<'coverage'>;

/** The fields of verify.py, for programs. */
export interface StatedCoverage {
  readonly source: { readonly kind: string; readonly id: string };
  /** Everything, if the text is empty. */
  readonly filter: { readonly text: string; readonly hash: string };
  readonly stated_at: string;
  readonly as_of: string | null;
  readonly wanted_since: string | null;
  /** `events` of the first `size` events of the log are of the source. */
  readonly size: number;
  readonly events: number;
  readonly chain_compared: boolean;
  /** By all passes together. */
  readonly ranges: RangeTexts;
  /** Of the time of the bundle, or else from `wanted_since` to the end of the last range. */
  readonly gaps: RangeTexts;
  /** Not a second time, a day or more later. Null: not stated. */
  readonly read_once: RangeTexts | null;
  readonly holes: NonNullable<Coverage['holes']>;
  readonly readings: NonNullable<Coverage['readings']>;
  readonly left_out: Coverage['left_out'] | null;
  /** `from`: the first that is in the bundle. */
  readonly reads: { readonly count: number; readonly from: number } | null;
}
