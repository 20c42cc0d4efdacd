import type { BundleReader } from '../../bundle/layout.ts';
import {
  BUNDLE_TIME_PATH,
  type BundleTime,
  boundsOf,
  bundleTimeText,
  isOfTime,
  readBundleTime,
} from '../../bundle/time-of-bundle.ts';
import { timesOfMonth } from '../../journal/retention.ts';
import type { EventLeaf } from '../../leaves/leaf.ts';
import type { LeafStates } from '../leaf-states.ts';
import type { Report } from '../report.ts';
import type { SignedStatements } from '../verify-journal.ts';

/** Reads which time a bundle is of; undefined if it is of all. Nothing signs it: it only says what is asked of the leaves. */
export const verifyTimeFile = (report: Report, reader: BundleReader): BundleTime | undefined => {
  const bytes = reader.read(BUNDLE_TIME_PATH);
  return bytes && report.attempt('time', BUNDLE_TIME_PATH, () => readBundleTime(bytes));
};

/** Compares the events of a bundle with the time that it is of. */
export class EventsOfTime {
  readonly #report: Report;
  readonly #isOfTime: ((actionTimeUs: bigint | undefined) => boolean) | undefined;
  /** Events without a time, with their content. */
  timeless = 0;

  constructor(report: Report) {
    this.#report = report;
    this.#isOfTime = report.time && isOfTime(report.time);
  }

  /** That exactly the events of the time have their content. */
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

export interface TimeContent {
  readonly statements: SignedStatements;
  readonly states: LeafStates;
  readonly ofTime: EventsOfTime;
}

/**
 * That no event of the time is left out, of all sources or of one up to `until`: each other leaf shows when its event happened. Not claimed if
 * leaves are here as hashes alone.
 */
export const concludeTime = (
  report: Report,
  { statements, states, ofTime }: TimeContent,
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

/** What a bundle of a time adds to how its events are accounted for. */
export const withoutContent = ({ time }: Report, states: LeafStates): string =>
  time === undefined
    ? ''
    : `; ${states.count('withheld')} are here without content, ${states.count('unshown')} as hashes alone`;

/** Whether a month has some of a time. */
const isWithin = (month: string, time: BundleTime): boolean => {
  const times = timesOfMonth(month);
  const [since, before] = boundsOf(time);
  return times === undefined || (times.startUs < before && times.endUs > since);
};
