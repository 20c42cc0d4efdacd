import { microsecondsOf } from '../journal/instants.ts';
import type { StatementOf } from '../journal/statement.ts';
import { gapsOf, type TimeRange } from '../journal/time-ranges.ts';
import { gapsUs, type RangeUs, rangeText, unitedUs, usOf } from '../journal/us-ranges.ts';
import type { Report } from './report.ts';

type Coverage = StatementOf<'coverage'>;

/** A statement of the first version does not say as of when it was read: up to so long after the moment that it has. */
const FIRST_VERSION_US = 3_600_000_000n;

/**
 * That no time is stated as read before it was over, and that what is proven of a source, by all of its passes together, never shrinks from a statement to the next one, unless that one is of
 * another filter: time that was read once stays read. Statements of another generation stand in another journal.
 */
export const verifyCoverage = (report: Report, statements: readonly Coverage[]): void => {
  const before = new Map<string, { readonly filter: string; readonly ranges: readonly RangeUs[] }>();
  for (const { source_kind: kind, source_id: id, filter: of, passes, at, as_of: asOf } of statements) {
    const key = JSON.stringify([kind, id]);
    const filter = JSON.stringify([of.text, of.hash]);
    const ranges = unitedUs(passes.flatMap((pass) => pass.ranges.map(usOf)));
    const over = asOf === undefined ? (microsecondsOf(at) ?? 0n) + FIRST_VERSION_US : (microsecondsOf(asOf) ?? 0n);
    const end = ranges.at(-1)?.[1];
    if (end !== undefined && end > over)
      report.fault(
        'coverage',
        `at ${at}, ${kind} ${id} is stated as read ${rangeText([over, end])}, before that was over`,
      );
    const last = before.get(key);
    before.set(key, { filter, ranges });
    if (last?.filter !== filter) continue;
    const lost = last.ranges.flatMap((range) => gapsUs(ranges, range))[0];
    if (lost === undefined) continue;
    report.fault('coverage', `at ${at}, ${kind} ${id} is no longer covered ${rangeText(lost)}`);
  }
};

/** The answer to "is everything there, of this source, from one time to another?" */
export interface Completeness {
  /** The statement that says so: what is collected of the source, when it was stated, and how large the tree was. */
  readonly statement: Coverage;
  /** What of the time is not covered. None: every entry that Cloudflare served for it is at or below that size. */
  readonly gaps: readonly TimeRange[];
}

/** By the last statement of the source, by all of its passes. Undefined if there is none: then nothing is claimed. */
export const completenessOf = (
  statements: readonly Coverage[],
  source: { readonly kind: string; readonly id: string },
  time: TimeRange,
): Completeness | undefined => {
  const statement = statements.findLast((one) => one.source_kind === source.kind && one.source_id === source.id);
  if (statement === undefined) return undefined;
  const ranges = statement.passes.flatMap((pass) => pass.ranges);
  return { statement, gaps: gapsOf(ranges, time) };
};
