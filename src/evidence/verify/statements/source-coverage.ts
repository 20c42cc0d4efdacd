import type { StatementOf } from '../../journal/statement.ts';
import type { RangeTexts } from '../../journal/us-ranges.ts';

type Coverage = StatementOf<'coverage'>;

/** What the last coverage statement of a source says, for programs: the fields of verify.py. */
export interface StatedCoverage {
  readonly source: { readonly kind: string; readonly id: string };
  /** What of it is collected: everything, if the text is empty. */
  readonly filter: { readonly text: string; readonly hash: string };
  readonly stated_at: string;
  readonly as_of: string | null;
  readonly wanted_since: string | null;
  /** Of the first `size` events of the log, so many are of the source. */
  readonly size: number;
  readonly events: number;
  /** Whether the leaves were compared with its chain. */
  readonly chain_compared: boolean;
  /** What all passes have read together. Null: without a beginning. */
  readonly ranges: RangeTexts;
  /** What these leave out, of the time of the bundle, or else from `wanted_since` to the end of the last one. */
  readonly gaps: RangeTexts;
  /** What of `ranges` was not read a second time, a day or more later. Null: it is not stated. */
  readonly read_once: RangeTexts | null;
  readonly holes: NonNullable<Coverage['holes']>;
  readonly readings: NonNullable<Coverage['readings']>;
  readonly left_out: Coverage['left_out'] | null;
  /** How many requests are stated, and from which one on they are in the bundle. */
  readonly reads: { readonly count: number; readonly from: number } | null;
}
