import type { Logger } from 'pino';
import { formatDuration } from '../../base/time.ts';
import type { Range } from '../../ingest/planning/coverage.ts';
import { SCRUB_PASS } from '../../ingest/planning/scrub.ts';
import { keyOf, type SourceKey } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import { RETENTION_URGENT_MS } from '../../ingest/sources/source-kind.ts';
import { MAX_AHEAD_MS, type NearRetention, type SyncObserver } from '../../ingest/sync/ports.ts';
import { type NameOf, type Names, noNames } from '../../search/names/names.sql.ts';

/** News and trouble at info and warn, the ordinary course at debug; repetitions once a day. `nowMs` is a clock that never goes back. */
export const logSync = (logger: Logger, nowMs: () => number, names: Names = noNames): SyncObserver => {
  const of = (source: SourceKey) => ({
    source: source.id,
    name: names.source(source),
    // Lines about organizations are as they were before there were other kinds.
    ...(kindOf(source).owner === 'organization' ? {} : { kind: source.kind }),
  });
  const mayWarnOfMissed = onceADay(nowMs);
  const retention = logRetention(logger, nowMs);
  return {
    ...logOrganizations(logger, nowMs, names.organization),
    ...logAccounts(logger, nowMs, names.account),
    missedButOpen: (event) => {
      if (!mayWarnOfMissed(event.organizationId)) return;
      logger.warn(
        { ...event, name: names.organization(event.organizationId) },
        'an organization is no longer listed, but its audit log answers; collection continues',
      );
    },
    jobsPlanned: ({ sources, due, nearRetention }) => {
      logger.debug({ sources, due: due.length }, 'jobs planned');
      retention(nearRetention);
    },
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

type FactsOf = (source: SourceKey) => { readonly source: string; readonly name: string | undefined };

const logTrouble = (logger: Logger, nowMs: () => number, of: FactsOf): SyncObserver => {
  const mayWarn = onceADay(nowMs);
  const unsaid = summed(nowMs);
  return {
    sourceFailed: ({ source, lane, failure, message, backoffMs }) => {
      const since = unsaid(`${source.kind} ${failure} ${message.replaceAll(source.id, '')}`);
      logger[since === undefined ? 'debug' : 'warn'](
        { ...of(source), lane, failure, reason: message, backoffMs, ...since },
        `sync failed for ${kindOf(source).owner === 'account' ? 'an account' : 'an organization'}; will retry after backoff`,
      );
    },
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

/** More new organizations than this in one listing are one line: at the first start all of them are new. */
const MAX_LINES = 5;

const logOrganizations = (logger: Logger, nowMs: () => number, nameOf: NameOf): SyncObserver => {
  const unsaid = summed(nowMs);
  let appeared: string[] = [];
  let shortBefore: string | undefined;
  const named = (organizationId: string) => ({ organizationId, name: nameOf(organizationId) });
  const flush = () => {
    const ids = appeared;
    appeared = [];
    if (ids.length <= MAX_LINES) for (const id of ids) logger.info(named(id), 'organization appeared');
    else {
      const names = ids.slice(0, MAX_LINES).map((id) => nameOf(id) ?? id);
      logger.info({ organizations: ids.length, first: names }, `${ids.length} organizations appeared`);
    }
  };
  return {
    discovered: (event) => {
      flush();
      const { short } = event;
      if (short !== undefined && short !== shortBefore)
        logger.warn(
          { reason: short },
          'the listing of organizations is not complete; what it does not name is not missed',
        );
      shortBefore = short;
      logger.debug(event, 'organizations listed');
    },
    discoveryFailed: ({ error }) => {
      flush();
      const reason = error instanceof Error ? error.message : String(error);
      const since = unsaid(reason);
      logger[since === undefined ? 'debug' : 'warn']({ reason, ...since }, 'listing organizations failed');
    },
    organizationChanged: ({ organizationId, change }) => {
      if (change === 'appeared') appeared.push(organizationId);
      else logger[change === 'gone' ? 'warn' : 'info'](named(organizationId), `organization ${change}`);
    },
  };
};

const worrying: readonly string[] = ['gone', 'refused', 'left'];
const what: Readonly<Record<string, string>> = {
  left: ': no listing that is read shows it any more; its audit log answers, and is read on',
};

const logAccounts = (
  logger: Logger,
  nowMs: () => number,
  nameOf: (accountId: string) => string | undefined,
): SyncObserver => {
  let appeared: string[] = [];
  let empty: string[] = [];
  const mayWarn = onceADay(nowMs);
  const named = (accountId: string) => ({ accountId, name: nameOf(accountId) });
  return {
    accountChanged: ({ accountId, change }) => {
      if (change === 'appeared') appeared.push(accountId);
      else
        logger[worrying.includes(change) ? 'warn' : 'info'](named(accountId), `account ${change}${what[change] ?? ''}`);
    },
    accountsListed: ({ appeared: news, accounts }) => {
      const ids = appeared;
      appeared = [];
      if (empty.length > 0) {
        logger.info(
          { listings: empty.length, first: empty.slice(0, MAX_LINES) },
          'listings of accounts are empty: nothing is missed by them until they are empty again, after a pause',
        );
      }
      empty = [];
      if (ids.length > 0 && news === accounts) {
        logger.info(
          { accounts, requestsAtLeast: accounts },
          'the audit logs of accounts are read from now on, with at least one request for the history of each; ORGTRAIL_SOURCES=organizations turns this off',
        );
      }
      if (ids.length > MAX_LINES) {
        logger.info(
          { accounts: ids.length, first: ids.slice(0, MAX_LINES).map((id) => nameOf(id) ?? id) },
          `${ids.length} accounts appeared`,
        );
      } else for (const accountId of ids) logger.info(named(accountId), 'account appeared');
    },
    accountListingEmpty: ({ scope }) => {
      if (mayWarn(`${scope} empty`)) empty.push(scope);
    },
    accountListingFailed: ({ scope, error }) => {
      const facts = { scope, failure: error.failure, reason: error.message };
      if (mayWarn(`${scope} ${error.failure}`)) logger.warn(facts, 'listing accounts failed; will retry after a pause');
      else logger.debug(facts, 'listing accounts failed again');
    },
  };
};

/** A first backfill begins with time that is about to be deleted, and reads it by itself: what lasts longer is trouble. */
const GRACE_MS = 3_600_000;

/** For 30 days before Cloudflare deletes unread time, again for the last 7, once a day each. Called with all sources after every plan. */
const logRetention = (logger: Logger, nowMs: () => number): ((near: readonly NearRetention[]) => void) => {
  const mayWarn = onceADay(nowMs);
  let nearSinceMs = new Map<string, number>();
  return (near) => {
    const stillNear = new Map<string, number>();
    for (const { source, slackMs } of near) {
      const key = keyOf(source);
      const sinceMs = nearSinceMs.get(key) ?? nowMs();
      stillNear.set(key, sinceMs);
      const urgent = slackMs < RETENTION_URGENT_MS;
      if (nowMs() - sinceMs < GRACE_MS || !mayWarn(`${key} ${urgent}`)) continue;
      const when =
        slackMs <= 0
          ? 'are being deleted by Cloudflare now'
          : `will be deleted by Cloudflare in ${formatDuration(slackMs)}`;
      const kind = kindOf(source).owner === 'organization' ? {} : { kind: source.kind };
      const facts = { source: source.id, retentionSlackSeconds: Math.round(slackMs / 1_000), urgent, ...kind };
      logger.warn(facts, `unread audit logs ${when}`);
    }
    nearSinceMs = stillNear;
  };
};

const SUM_MS = 60_000;
const MOST_KEYS = 1_000;

/** A line a minute for each key. `more`: how many like it came since the last one; undefined: say nothing. */
export const summed = (nowMs: () => number): ((key: string) => { readonly more?: number } | undefined) => {
  const said = new Map<string, { readonly atMs: number; more: number }>();
  return (key) => {
    const last = said.get(key);
    if (last !== undefined && nowMs() - last.atMs < SUM_MS) {
      last.more += 1;
      return undefined;
    }
    if (said.size >= MOST_KEYS) said.clear();
    said.set(key, { atMs: nowMs(), more: 0 });
    return last === undefined || last.more === 0 ? {} : { more: last.more };
  };
};

const DAY_MS = 86_400_000;

/** True if `key` has not been let through for a day. `nowMs` is a clock that never goes back; a restart forgets all keys. */
export const onceADay = (nowMs: () => number): ((key: string) => boolean) => {
  const letThroughAtMs = new Map<string, number>();
  return (key) => {
    const lastMs = letThroughAtMs.get(key);
    if (lastMs !== undefined && nowMs() - lastMs < DAY_MS) return false;
    letThroughAtMs.set(key, nowMs());
    return true;
  };
};
