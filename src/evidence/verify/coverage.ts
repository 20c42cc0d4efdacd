import { boundsOf } from '../bundle/layout.ts';
import { instantText, microsecondsOf } from '../journal/instants.ts';
import { ALWAYS, cutTo, gapsUs, type RangeUs, rangeText, textsOf, unitedUs, usOf } from '../journal/ranges.ts';
import type { StatementOf } from '../journal/statement.ts';
import type { Report, StatedCoverage } from './report.ts';

type Coverage = StatementOf<'coverage'>;

/** By the last statement of each source. */
export const reportCoverage = (
  report: Report,
  statements: readonly Coverage[],
  isCompared: (statement: Coverage) => boolean,
): void => {
  const last = new Map(statements.map((one) => [`${one.source_kind} ${one.source_id}`, one]));
  if (last.size === 0)
    report.note('that the entries of Cloudflare are all here: the journal has no statement of coverage');
  for (const [name, statement] of [...last].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ranges = unitedUs(statement.passes.flatMap((pass) => pass.ranges.map(usOf)));
    const { first, last: end, isAsked } = boundsOfAnswer(report, statement, ranges);
    const gaps = ranges.length > 0 || isAsked ? gapsUs(ranges, [first, end]) : [];
    const isProven = isCompared(statement);
    report.coverage.push(forPrograms(statement, ranges, gaps, isProven));
    sayWhatIsCovered(report, name, statement, { ranges: cutTo(ranges, [first, end]), gaps, isProven });
  }
};

const needed = ['chain', 'coverage', 'journal', 'leaf', 'missing', 'payload', 'source', 'statement'] as const;

interface Said {
  readonly ranges: readonly RangeUs[];
  readonly gaps: readonly RangeUs[];
  readonly isProven: boolean;
}

const sayWhatIsCovered = (report: Report, name: string, statement: Coverage, { ranges, gaps, isProven }: Said) => {
  const { filter, holes = [], left_out: leftOut, events, tree } = statement;
  if (isProven)
    report.claimAsBelieved(
      needed,
      `${name}: of its ${events} stored events up to position ${tree.size} none is left out`,
    );
  else report.note(`${name}: its chain, since it is not known which dropped events were its own`);
  if (filter.text !== '') report.note(`${name}: what the filter ${filter.text} leaves out: it was not collected`);
  const how = filter.text === '' ? 'completely' : `, of what the filter ${filter.text} lets through,`;
  for (const range of ranges) report.claim(needed, `${name}: stated as read ${how} ${rangeText(range)}`);
  if (statement.passes.every((pass) => pass.ranges.length === 0))
    report.note(`${name}: any time of it: nothing is stated as read`);
  for (const gap of gaps) report.note(`${name}: a gap ${rangeText(gap)}`);
  for (const once of readOnce(statement, ranges))
    report.note(`${name}: whether a second reading, a day later, finds more ${rangeText(once)}: it was read once`);
  for (const { pass, range, reason, found_at: foundAt } of holes)
    report.note(
      `${name}: a hole in ${pass === 0 ? 'the first reading' : `pass ${pass}`} ${rangeText(usOf(range))}, found at ${sameInstant(foundAt)}: ${reason}`,
    );
  if (leftOut !== undefined && leftOut.ranges + leftOut.holes + leftOut.readings > 0)
    report.note(
      `${name}: what had no room in its statement: ${leftOut.ranges} ranges, ${leftOut.holes} holes, ${leftOut.readings} readings`,
    );
  sayReadings(report, name, statement);
};

/** Nothing, if the statement is of a version without it. */
const readOnce = ({ read_again: readAgain }: Coverage, ranges: readonly RangeUs[]): readonly RangeUs[] => {
  if (readAgain === undefined) return [];
  const again = unitedUs(readAgain.map(usOf));
  return ranges.flatMap((range) => gapsUs(again, range));
};

const sameInstant = (instant: string): string => instantText(microsecondsOf(instant) ?? 0n);

/** Of the time of the bundle, each way of reading once. */
const sayReadings = (report: Report, name: string, { readings = [], at }: Coverage): void => {
  const [since, before] = report.time === undefined ? [-ALWAYS, ALWAYS] : boundsOf(report.time);
  const asked = readings.filter(({ range }) => {
    const [from, to] = usOf(range);
    return from < before && to > since;
  });
  const ways = Map.groupBy(asked, ({ method, number }) => `${method} ${number}`);
  const texts = [...ways]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, ones]) => {
      const [{ method, number } = { method: '', number: 0 }] = ones;
      const times = ones.flatMap((one) => [microsecondsOf(one.read_from) ?? 0n, microsecondsOf(one.read_to) ?? 0n]);
      const us = times.sort((a, b) => (a < b ? -1 : 1));
      const found = ones.reduce((sum, one) => sum + one.found, 0);
      const [from, to] = [us.at(0) ?? 0n, us.at(-1) ?? 0n];
      return `${wayOfReading(method, number)} made ${rangeText([from, to])}, which found ${found} new entries`;
    });
  if (texts.length > 0)
    report.claim(needed, `${name}: read last, as stated at ${sameInstant(at)}, by ${texts.join('; ')}`);
};

const wayOfReading = (method: string, number: number): string =>
  ({
    'first reading': 'the first reading,',
    pass: `pass ${number}, which reads the same time again some time later,`,
    scrub: `round ${number} of reading all of history again,`,
  })[method] ?? `${method} ${number},`;

/** The time of the bundle, or else what is wanted and read. */
const boundsOfAnswer = (report: Report, { wanted_since: wanted }: Coverage, ranges: readonly RangeUs[]) => {
  const [since, before] = report.time === undefined ? [-ALWAYS, ALWAYS] : boundsOf(report.time);
  const isAsked = since > -ALWAYS || before < ALWAYS;
  const [start, end] = [ranges[0]?.[0] ?? since, ranges.at(-1)?.[1] ?? before];
  const wantedUs = (wanted === null ? undefined : microsecondsOf(wanted)) ?? ALWAYS;
  const isReadFirst = start < wantedUs;
  const earliest = isReadFirst ? start : wantedUs;
  const first = since > -ALWAYS ? since : earliest;
  return { first, last: before < ALWAYS ? before : end, isAsked };
};

const forPrograms = (
  statement: Coverage,
  ranges: readonly RangeUs[],
  gaps: readonly RangeUs[],
  isProven: boolean,
): StatedCoverage => ({
  source: { kind: statement.source_kind, id: statement.source_id },
  filter: statement.filter,
  stated_at: statement.at,
  as_of: statement.as_of ?? null,
  wanted_since: statement.wanted_since,
  size: statement.tree.size,
  events: statement.events,
  chain_compared: isProven,
  ranges: textsOf(ranges),
  gaps: textsOf(gaps),
  read_once: statement.read_again === undefined ? null : textsOf(readOnce(statement, ranges)),
  holes: statement.holes ?? [],
  readings: statement.readings ?? [],
  left_out: statement.left_out ?? null,
  reads: statement.reads && { count: statement.reads.count, from: (statement.reads.after?.count ?? 0) + 1 },
});

/** The first version does not say as of when it was read: up to so long after its moment. */
const FIRST_VERSION_US = 3_600_000_000n;

/**
 * No time is read before it was over, and what all passes of a source have read together never shrinks, unless the filter
 * changes. Statements of another generation stand in another journal.
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
