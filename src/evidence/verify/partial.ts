import {
  BUNDLE_TIME_PATH,
  type BundleReader,
  type BundleTime,
  boundsOf,
  bundleTimeText,
  isOfTime,
  type LeafList,
  readBundleTime,
} from '../bundle/layout.ts';
import { timesOfMonth } from '../journal/instants.ts';
import { type EventLeaf, NO_SOURCE } from '../leaf.ts';
import type { LeafStates, SourceNumbers } from './leaf-states.ts';
import type { SignedStatements, VerifiedLogs } from './logs.ts';
import type { Report } from './report.ts';

/** What is known of the leaves, while their payload is read. */
export interface Content {
  readonly statements: SignedStatements;
  readonly states: LeafStates;
  readonly sources: SourceNumbers;
  readonly ofTime: EventsOfTime;
}

/** A fault if the statements name no source, or several. */
export const verifySource = (report: Report, reader: BundleReader, { statements, states, sources }: Content) => {
  const named = [
    ...statements.of('source').map(({ kind, id }) => ({ kind, id })),
    ...statements.of('coverage').map(({ source_kind: kind, source_id: id }) => ({ kind, id })),
  ];
  const [source] = named;
  if (source === undefined) report.fault('source', 'no statement of the bundle names its source');
  else report.source = source;
  const other = named.find(({ kind, id }) => kind !== source?.kind || id !== source.id);
  if (source !== undefined && other !== undefined)
    report.fault(
      'source',
      `the bundle is of ${source.kind} ${source.id}, and has a statement of ${other.kind} ${other.id}`,
    );
  for (const path of reader.paths) {
    if (path.startsWith('events/sources/')) report.fault('source', `${path} is in a bundle of one source`);
  }
  const number = source === undefined ? NO_SOURCE : sources.find(source.kind, source.id);
  for (let index = 0; index < states.size; index += 1) states.believeSource(index, number);
};

/** Up to where the last coverage statement says so. */
export const verifyCompleteness = (
  report: Report,
  { events, journal }: VerifiedLogs,
  listed: LeafList,
  content: Content,
): void => {
  const { statements, states, sources } = content;
  const { source } = report;
  if (source === undefined) return;
  const name = `${source.kind} ${source.id}`;
  if (listed.count > 0 && sources.find(source.kind, source.id) === NO_SOURCE)
    report.fault('source', `${name} has leaves, and no statement gives it a number`);
  for (const { position } of statements.of('change')) {
    if (listed.placeOf(position - 1) === undefined)
      report.fault('change', `event ${position}, which a statement says was changed, is not listed`, position);
  }
  const last = statements.of('coverage').at(-1);
  if (last === undefined) {
    report.fault('coverage', `there is no coverage statement of ${name}: nothing shows that these are all its events`);
    return;
  }
  const until = last.tree.size;
  const later = listed.count - listed.countBelow(until);
  report.claimAsBelieved(
    ['chain', 'coverage', 'journal', 'leaf', 'missing', 'payload', 'source', 'statement'],
    `these are all events of ${name} up to position ${until}: ${last.events}${report.time === undefined ? '' : ', some without their content'}`,
  );
  report.claimAsBelieved(
    ['leaf', 'missing', 'payload', 'source'],
    `of ${listed.count} events of ${name} ${states.count('present')} are as they were hashed, and ${states.count('dropped')} were dropped as stated${withoutContent(report, states)}`,
  );
  concludeTime(report, content, { name, until });
  if (events.size > until)
    report.note(`that none of the events of ${name} after position ${until} is left out: ${later} are here`);
  report.note(
    `what ${journal.size - (journal.listed?.count ?? 0)} statements say that are not in the bundle, and the events of other sources`,
  );
};

/** Undefined: of all times. Nothing signs it: it only says what is asked of the leaves. */
export const verifyTimeFile = (report: Report, reader: BundleReader): BundleTime | undefined => {
  const bytes = reader.read(BUNDLE_TIME_PATH);
  return bytes && report.attempt('time', BUNDLE_TIME_PATH, () => readBundleTime(bytes));
};

export class EventsOfTime {
  readonly #report: Report;
  readonly #isOfTime: ((actionTimeUs: bigint | undefined) => boolean) | undefined;
  /** With their content. */
  timeless = 0;

  constructor(report: Report) {
    this.#report = report;
    this.#isOfTime = report.time && isOfTime(report.time);
  }

  /** Exactly the events of the time have their content. */
  judge({ position, actionTimeUs }: EventLeaf, hasContent: boolean): void {
    if (this.#isOfTime === undefined) return;
    const isOf = this.#isOfTime(actionTimeUs);
    if (hasContent && actionTimeUs === undefined) this.timeless += 1;
    if (hasContent && !isOf)
      this.#report.fault('time', `event ${position} has content, and is not of the time of the bundle`, position);
    if (!hasContent && isOf)
      this.#report.fault('time', `event ${position} is of the time of the bundle, and has no content`, position);
  }
}

/** Of all sources or of one, up to `until`: each other leaf shows its time. Not claimed if leaves are here as hashes alone. */
export const concludeTime = (
  report: Report,
  { statements, states, ofTime }: Content,
  { name = '', until }: { readonly name?: string | undefined; readonly until: number },
): void => {
  const { time } = report;
  if (time === undefined) return;
  const [from, unshown, withheld] = [bundleTimeText(time), states.count('unshown'), states.count('withheld')];
  const present = states.count('present') - states.countFrom(until, 'present');
  if (unshown > 0)
    report.note(
      `that none of ${unshown} events that are here as hashes alone is of the time from ${from}: what is here is in the log, and more may be`,
    );
  else
    report.claimAsBelieved(
      ['chain', 'coverage', 'journal', 'leaf', 'missing', 'payload', 'source', 'statement', 'time'],
      `these are all events ${name === '' ? '' : `of ${name} `}that happened from ${from}, or have no time, up to position ${until}, but for what was dropped: ${present}`,
    );
  report.note(
    `what ${withheld + unshown} other events say, which are not of that time; ${ofTime.timeless} events without a time are here`,
  );
  const months = statements.of('drop').filter(({ month }) => isWithin(month, time));
  if (months.length > 0)
    report.note(
      `what happened from ${from} and was dropped: month ${[...new Set(months.map(({ month }) => month))].join(', ')}`,
    );
};

export const withoutContent = ({ time }: Report, states: LeafStates): string =>
  time === undefined
    ? ''
    : `; ${states.count('withheld')} are here without content, ${states.count('unshown')} as hashes alone`;

const isWithin = (month: string, time: BundleTime): boolean => {
  const times = timesOfMonth(month);
  const [since, before] = boundsOf(time);
  return times === undefined || (times.startUs < before && times.endUs > since);
};
