import {
  liesWithin,
  microsecondsOf,
  type RangeUs,
  shared,
  textsOf,
  united,
  usOf,
  without,
} from '../journal/instants.ts';
import type { StatementOf } from '../journal/statement.ts';
import { LOG_NUMBER } from '../leaf.ts';
import { statementOf } from './keys-in-force.ts';
import type { LogInMemory } from './log.ts';
import type { CoverageSnapshot, CoveredSource } from './new-statements.ts';

type Coverage = StatementOf<'coverage'>;

/** What may be stated of a source, by rules 1, 3 and 4 of chapter 7. */
export interface Statable {
  readonly source: CoveredSource;
  readonly said: Pick<Coverage, 'wanted_since' | 'read' | 'again' | 'adopted' | 'holes' | 'left_out' | 'rows'>;
  /** Microseconds that are covered and for which no request is recorded. */
  readonly unaskedUs: bigint;
  /** Less is read than was stated last: until a clock that went back has caught up. Stated, it would look like lost coverage. */
  readonly isShrunk: boolean;
}

/** In each list of one statement: four of them, and the holes, fit into a leaf. */
const MAX_RANGES = 220;
/** Cloudflare may no longer have had the far end of a history that moves on with the clock when it was first asked. */
const FAR_END_US = 3_600_000_000n;

export const statableOf = (source: CoveredSource): Statable => {
  const before = lastOf(source.before);
  const proven = usOf(source.read);
  const adopted = longest(usOf(source.adopted), before?.adopted);
  const windows = longest(usOf(source.rows.windows), []);
  const asked = united([...adopted.kept, ...usOf(source.windows), ...windows.kept]);
  const unasked = without(proven, asked);
  const read = longest(shared(proven, asked), before?.read);
  const again = longest(shared(usOf(source.again), read.kept), before?.again);
  const holes = source.holes.filter(({ range }) => shared(usOf([range]), read.kept).length === 0);
  const leftOut = [adopted, windows, read, again].reduce((sum, { leftOut: some }) => sum + some, 0);
  const said = {
    wanted_since: wantedSince(source, [...read.kept, ...usOf(holes.map(({ range }) => range))]),
    read: textsOf(read.kept),
    again: textsOf(again.kept),
    adopted: textsOf(adopted.kept),
    holes,
    left_out: { ranges: leftOut, holes: source.holeCount - holes.length },
    rows: { ...source.rows, windows: textsOf(windows.kept) },
  };
  const unaskedUs = unasked.reduce((sum, [from, to]) => sum + to - from, 0n);
  return { source, said, unaskedUs, isShrunk: !liesWithin(usOf(before?.read ?? []), read.kept) };
};

const lastOf = (text: string | null): Coverage | undefined => {
  const last = text === null ? undefined : statementOf(text);
  return last?.type === 'coverage' ? last : undefined;
};

/** First those that contain what was stated before, then the longest: claims less, never more, and never less than before. */
const longest = (ranges: readonly RangeUs[], before: Coverage['read'] = []) => {
  const all = united(ranges);
  if (all.length <= MAX_RANGES) return { kept: all, leftOut: 0 };
  const stated = usOf(before);
  const kept = all
    .map((range) => ({ range, isStated: shared(stated, [range]).length > 0 }))
    .sort((a, b) => Number(b.isStated) - Number(a.isStated) || (lengthOf(a.range) < lengthOf(b.range) ? 1 : -1))
    .slice(0, MAX_RANGES)
    .map(({ range }) => range);
  return { kept: united(kept), leftOut: all.length - kept.length };
};

const lengthOf = ([from, to]: RangeUs): bigint => to - from;

const wantedSince = ({ wantedSince: wanted, isRolling }: CoveredSource, known: readonly RangeUs[]): string | null => {
  const first = united(known)[0]?.[0];
  const wantedUs = wanted === null ? undefined : microsecondsOf(wanted);
  if (!isRolling || wantedUs === undefined || first === undefined) return wanted;
  return first > wantedUs && first - wantedUs < FAR_END_US
    ? (textsOf([[first, first + 1n]])[0]?.[0] ?? wanted)
    : wanted;
};

/** Holes that can be left out to fit. */
const MAX_BYTES_OF_HOLES = 8_000;

/** `memory` must have exactly the leaves up to the head of the snapshot. */
export const stateCoverage = (
  memory: LogInMemory,
  { asOf }: CoverageSnapshot,
  { source, said }: Statable,
  filters: ReadonlyMap<string, string>,
): void => {
  // The snapshot was taken after the step began.
  if (memory.at < asOf) memory.at = asOf;
  const { events, leaves, chain } = memory.chainOf(source.number);
  const log = memory.chainOf(LOG_NUMBER);
  let holes = said.holes;
  while (JSON.stringify(holes).length > MAX_BYTES_OF_HOLES) holes = holes.slice(0, Math.floor(holes.length / 2));
  const left_out = { ...said.left_out, holes: source.holeCount - holes.length };
  memory.state('coverage', source.number, `${source.number}/${source.filterHash}/${asOf}`, {
    filter: { text: filters.get(source.filterHash) ?? '', hash: source.filterHash },
    ...said,
    as_of: asOf,
    holes,
    left_out,
    events,
    leaves,
    chain: chain.toString('hex'),
    log_leaves: log.leaves,
    log_chain: log.chain.toString('hex'),
  });
};
