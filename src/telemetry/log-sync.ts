import type { Logger } from 'pino';
import type { Range } from '../ingest/planning/coverage.ts';
import { SCRUB_PASS } from '../ingest/planning/scrub.ts';
import { MAX_AHEAD_MS } from '../ingest/planning/server-time.ts';
import type { SourceKey } from '../ingest/planning/source.ts';
import { kindOf } from '../ingest/sources/registry.ts';
import type { SyncObserver } from '../ingest/sync/ports.ts';
import { type NameOf, type Names, noNames } from '../organizations/organization-names.ts';
import { logAccounts } from './log-accounts.ts';
import { logOrganizations } from './log-organizations.ts';
import { logRetention } from './log-retention.ts';
import { onceADay } from './once-a-day.ts';

/**
 * What the log says of syncing: news and trouble at info and warn, the ordinary course at debug. `nowMs` is a clock that never
 * goes back: what would be said again and again is said once a day.
 */
export const logSync = (logger: Logger, nowMs: () => number, names: Names = noNames): SyncObserver => {
  const of = (source: SourceKey) => ({
    source: source.id,
    name: names.source(source),
    // Lines about organizations are as they were before there were other kinds.
    ...(kindOf(source).owner === 'organization' ? {} : { kind: source.kind }),
  });
  return {
    ...logOrganizations(logger, names.organization),
    ...logAccounts(logger, nowMs, names.account),
    missedButOpen: warnOfMissed(logger, nowMs, names.organization),
    ...logPlans(logger, nowMs),
    pageCommitted: logPages(logger, nowMs, of),
    walkEnded: ({ source, lane, result }) => {
      if (result === 'fenced') {
        logger.warn({ ...of(source), lane }, 'commit rejected: another replica now holds the lease');
      }
      if (result === 'lost') {
        logger.warn({ ...of(source), lane }, 'lease expired before the page was committed; page discarded');
      }
      if (result === 'proven') {
        logger.debug({ ...of(source), lane }, 'the end of a walk was in doubt; further requests confirmed it');
      }
    },
    ...logTrouble(logger, nowMs, of),
  };
};

/** What of a source goes into a line. */
type FactsOf = (source: SourceKey) => {
  readonly source: string;
  readonly name: string | undefined;
  readonly kind?: string;
};

const logTrouble = (
  logger: Logger,
  nowMs: () => number,
  of: FactsOf,
): Pick<
  SyncObserver,
  'sourceFailed' | 'windowNarrowed' | 'holeFound' | 'scrubFound' | 'clocksCompared' | 'futureTrimmed'
> => {
  const mayWarn = onceADay(nowMs);
  return {
    sourceFailed: ({ source, lane, failure, message, backoffMs }) =>
      logger.warn(
        { ...of(source), lane, failure, reason: message, backoffMs },
        `sync failed for ${kindOf(source).owner === 'account' ? 'an account' : 'an organization'}; will retry after backoff`,
      ),
    windowNarrowed: ({ source, lane, claim, reason }) =>
      logger.info(
        { ...of(source), lane, ...isoRange(claim), reason },
        'a window could not be read to a credible end; retrying with half of it',
      ),
    holeFound: logHoles(logger, of),
    scrubFound: ({ source, window, entries, pass }) =>
      logger.error(
        { ...of(source), ...isoRange(window), entries, pass },
        're-reading history found missing entries in time that had been read; they are stored now. Others may be missing elsewhere until this round is complete',
      ),
    clocksCompared: ({ aheadMs }) => {
      if (Math.abs(aheadMs) <= MAX_AHEAD_MS || !mayWarn(aheadMs > 0 ? 'ahead' : 'behind')) return;
      logger.warn(
        { aheadMs: Math.round(aheadMs) },
        "the clocks of Cloudflare and of the database differ by more than a minute: check the database's",
      );
    },
    futureTrimmed: ({ rows }) =>
      logger.warn(
        { rows },
        'coverage claimed time that could not have been read yet (a clock was ahead, or ORGTRAIL_SETTLE has longer delays now), and was trimmed; it will be read again',
      ),
  };
};

/** Once as an error. That it is still there when it is retried, hours later, or has grown, is no news. */
const logHoles = (logger: Logger, of: FactsOf): NonNullable<SyncObserver['holeFound']> => {
  const known = new Set<string>();
  return ({ source, range, pass, reason, message }) => {
    const facts = { ...of(source), ...isoRange(range), pass, reason, message };
    const miscounted = reason === 'count_differs';
    const key = `${source.kind} ${source.id} ${pass} ${miscounted ? reason : range.fromMs}`;
    if (known.has(key)) {
      return logger[miscounted ? 'debug' : 'info'](facts, 'a hole is still present; this time cannot be claimed');
    }
    known.add(key);
    if (miscounted) {
      return logger.error(
        facts,
        'a hole: the API counts more or fewer entries than it sends. What it sends is stored, but the time is not claimed; orgtrail retries after an hour, later once a week',
      );
    }
    const lacking =
      pass === 0 ? 'Entries' : pass === SCRUB_PASS ? 'Entries that an earlier reading missed' : 'Late entries';
    logger.error(
      facts,
      `a hole: the API cannot serve this time, even in parts. ${lacking} may be missing there; orgtrail retries after an hour, later once a week`,
    );
  };
};

const isoRange = ({ fromMs, toMs }: Range) => ({
  since: new Date(fromMs).toISOString(),
  before: new Date(toMs).toISOString(),
});

const warnOfMissed = (
  logger: Logger,
  nowMs: () => number,
  nameOf: NameOf,
): NonNullable<SyncObserver['missedButOpen']> => {
  const mayWarn = onceADay(nowMs);
  return (event) => {
    if (!mayWarn(event.organizationId)) return;
    logger.warn(
      { ...event, name: nameOf(event.organizationId) },
      'an organization is no longer listed, but its audit log answers; collection continues',
    );
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

/** No more than a line in this time, for all pages since the last one. */
const DEFECTS_EVERY_MS = 60_000;

const sumDefects = (logger: Logger, nowMs: () => number) => {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  let [pages, defective] = [0, 0];
  return (latest: ReturnType<FactsOf>, entries: number): void => {
    pages += 1;
    defective += entries;
    if (nowMs() - saidAtMs < DEFECTS_EVERY_MS) return;
    logger.info({ ...latest, defective, pages }, 'stored entries that could not be fully parsed');
    saidAtMs = nowMs();
    [pages, defective] = [0, 0];
  };
};

const logPages = (logger: Logger, nowMs: () => number, of: FactsOf): NonNullable<SyncObserver['pageCommitted']> => {
  const mayWarn = onceADay(nowMs);
  const defects = sumDefects(logger, nowMs);
  return ({ source, lane, entries, stored, changed, defective, late }) => {
    const facts = { ...of(source), lane, entries, stored };
    if (changed > 0) logger.warn({ ...facts, changed }, 'entries changed upstream');
    if (defective > 0) defects(of(source), defective);
    if (late.beyondLastPass > 0 && mayWarn(`beyond ${source.id}`)) {
      logger.warn(
        { ...facts, beyondLastPass: late.beyondLastPass },
        'late entries arrived after the final re-read and were found only by chance; others may be missing. Increase ORGTRAIL_SETTLE and run `orgtrail verify --fix`',
      );
    }
    if (late.byLastPass > 0 && mayWarn(`last pass ${source.id}`)) {
      logger.warn(
        { ...facts, byLastPass: late.byLastPass },
        'the final re-read found new entries; some may appear even later. Add a longer delay to ORGTRAIL_SETTLE',
      );
    }
    logger.debug(facts, 'page committed');
  };
};
