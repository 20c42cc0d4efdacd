import type { Logger } from 'pino';
import type { Range } from './domain/coverage.ts';
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
  },
  ...logTrouble(logger, nowMs),
});

const logTrouble = (
  logger: Logger,
  nowMs: () => number,
): Pick<
  SyncObserver,
  'sourceFailed' | 'windowNarrowed' | 'holeFound' | 'scrubFound' | 'clocksDiffer' | 'futureTrimmed'
> => {
  const mayWarn = onceADay(nowMs);
  return {
    sourceFailed: ({ source, lane, failure, message, backoffMs }) =>
      logger.warn({ source: source.id, lane, failure, reason: message, backoffMs }, 'a source failed'),
    windowNarrowed: ({ source, lane, claim, reason }) =>
      logger.info(
        { source: source.id, lane, ...isoRange(claim), reason },
        'a window cannot be read: half of it is asked for',
      ),
    holeFound: ({ source, range, pass, reason, message }) =>
      logger.error(
        { source: source.id, ...isoRange(range), pass, reason, message },
        'a hole: the API does not serve this time, not even in parts. Entries may be missing there; it is tried again',
      ),
    scrubFound: ({ source, window, entries, pass }) =>
      logger.error(
        { source: source.id, ...isoRange(window), entries, pass },
        'reading history again found entries that were missing, in time that had been read: they are stored now. Others may be missing elsewhere until the round is through',
      ),
    clocksDiffer: ({ aheadMs }) => {
      if (!mayWarn(aheadMs > 0 ? 'ahead' : 'behind')) return;
      logger.warn(
        { aheadMs: Math.round(aheadMs) },
        "the clocks of Cloudflare and of the database differ by more than a minute: check the database's",
      );
    },
    futureTrimmed: ({ rows }) =>
      logger.warn(
        { rows },
        'coverage claimed time that has yet to come, and was cut: that time is read when it has come',
      ),
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
