import type { Logger } from 'pino';
import type { Range } from './domain/coverage.ts';
import { SCRUB_PASS } from './domain/scrub.ts';
import { MOST_AHEAD_MS } from './domain/server-time.ts';
import { logRetention } from './log-retention.ts';
import { onceADay } from './once-a-day.ts';
import type { SyncObserver } from './sync/ports.ts';

/**
 * What the log says of syncing: news and trouble at info and warn, the ordinary course at debug. `nowMs` is a clock that never
 * goes back: what would be said again and again is said once a day.
 */
export const logSync = (logger: Logger, nowMs: () => number): SyncObserver => ({
  discovered: (event) => logger.debug(event, 'organizations listed'),
  organizationChanged: (event) =>
    logger[event.change === 'gone' ? 'warn' : 'info'](event, `organization ${event.change}`),
  missedButOpen: warnOfMissed(logger, nowMs),
  discoveryFailed: ({ error }) =>
    logger.warn(
      { reason: error instanceof Error ? error.message : String(error) },
      'the listing of organizations failed',
    ),
  ...logPlans(logger, nowMs),
  pageCommitted: logPages(logger, nowMs),
  walkEnded: ({ source, lane, result }) => {
    if (result === 'fenced') {
      logger.warn({ source: source.id, lane }, 'fenced: another replica has taken the source, nothing was written');
    }
    if (result === 'lost') {
      logger.warn({ source: source.id, lane }, 'the lease ran out (a pause, or the database was away): dropped');
    }
    if (result === 'proven') {
      logger.debug({ source: source.id, lane }, 'the end of a walk was in doubt, and other questions confirmed it');
    }
  },
  ...logTrouble(logger, nowMs),
});

const logTrouble = (
  logger: Logger,
  nowMs: () => number,
): Pick<
  SyncObserver,
  'sourceFailed' | 'windowNarrowed' | 'holeFound' | 'scrubFound' | 'clocksCompared' | 'futureTrimmed'
> => {
  const mayWarn = onceADay(nowMs);
  return {
    sourceFailed: ({ source, lane, failure, message, backoffMs }) =>
      logger.warn({ source: source.id, lane, failure, reason: message, backoffMs }, 'a source failed'),
    windowNarrowed: ({ source, lane, claim, reason }) =>
      logger.info(
        { source: source.id, lane, ...isoRange(claim), reason },
        'a window cannot be read to a credible end: half of it is asked for',
      ),
    holeFound: logHoles(logger),
    scrubFound: ({ source, window, entries, pass }) =>
      logger.error(
        { source: source.id, ...isoRange(window), entries, pass },
        'reading history again found entries that were missing, in time that had been read: they are stored now. Others may be missing elsewhere until the round is through',
      ),
    clocksCompared: ({ aheadMs }) => {
      if (Math.abs(aheadMs) <= MOST_AHEAD_MS || !mayWarn(aheadMs > 0 ? 'ahead' : 'behind')) return;
      logger.warn(
        { aheadMs: Math.round(aheadMs) },
        "the clocks of Cloudflare and of the database differ by more than a minute: check the database's",
      );
    },
    futureTrimmed: ({ rows }) =>
      logger.warn(
        { rows },
        'coverage claimed time that could not have been read yet (a clock was ahead, or ORGTRAIL_SETTLE has longer delays now), and was cut: it is read again',
      ),
  };
};

/** Once as an error. That it is still there when it is tried again, hours later, or has grown, is no news. */
const logHoles = (logger: Logger): NonNullable<SyncObserver['holeFound']> => {
  const known = new Set<string>();
  return ({ source, range, pass, reason, message }) => {
    const facts = { source: source.id, ...isoRange(range), pass, reason, message };
    const miscounted = reason === 'count_differs';
    const key = `${source.kind} ${source.id} ${pass} ${miscounted ? reason : range.fromMs}`;
    if (known.has(key)) {
      return logger[miscounted ? 'debug' : 'info'](facts, 'a hole is still there: this time cannot be claimed');
    }
    known.add(key);
    if (miscounted) {
      return logger.error(
        facts,
        'a hole: the API counts more or fewer entries than it sends. What it sends is stored, and the time is not claimed; it is tried again after an hour, later once a week',
      );
    }
    const lacking = pass === 0 ? 'Entries' : pass === SCRUB_PASS ? 'What an earlier reading missed' : 'Late entries';
    logger.error(
      facts,
      `a hole: the API does not serve this time, not even in parts. ${lacking} may be missing there; it is tried again after an hour, later once a week`,
    );
  };
};

const isoRange = ({ fromMs, toMs }: Range) => ({
  since: new Date(fromMs).toISOString(),
  before: new Date(toMs).toISOString(),
});

const warnOfMissed = (logger: Logger, nowMs: () => number): NonNullable<SyncObserver['missedButOpen']> => {
  const mayWarn = onceADay(nowMs);
  return (event) => {
    if (!mayWarn(event.organizationId)) return;
    logger.warn(event, 'listings do not name an organization any more, but its audit log answers: it is pulled on');
  };
};

const logPlans = (logger: Logger, nowMs: () => number): Pick<SyncObserver, 'jobsPlanned'> => {
  const retention = logRetention(logger, nowMs);
  return {
    jobsPlanned: ({ sources, due, nearRetention }) => {
      logger.debug({ sources, due: due.length }, 'jobs planned');
      retention(nearRetention);
    },
  };
};

const logPages = (logger: Logger, nowMs: () => number): NonNullable<SyncObserver['pageCommitted']> => {
  const mayWarn = onceADay(nowMs);
  return ({ source, lane, entries, stored, changed, defective, late }) => {
    const facts = { source: source.id, lane, entries, stored };
    if (changed > 0) logger.warn({ ...facts, changed }, 'an entry came again with other content');
    if (defective > 0) logger.info({ ...facts, defective }, 'entries with defects are stored with their exact text');
    if (late.beyondLastPass > 0 && mayWarn(`beyond ${source.id}`)) {
      logger.warn(
        { ...facts, beyondLastPass: late.beyondLastPass },
        'entries appeared after the last settle pass had read their time, and were found by chance: others may be missing. Give ORGTRAIL_SETTLE a longer delay, and run `orgtrail verify --fix`',
      );
    }
    if (late.byLastPass > 0 && mayWarn(`last pass ${source.id}`)) {
      logger.warn(
        { ...facts, byLastPass: late.byLastPass },
        'the last settle pass found new entries: some may appear even later. Give ORGTRAIL_SETTLE a further delay',
      );
    }
    logger.debug(facts, 'page committed');
  };
};
