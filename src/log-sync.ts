import type { Logger } from 'pino';
import type { SyncObserver } from './sync/ports.ts';

/** What the log says of syncing: news and trouble at info and warn, the ordinary course at debug. */
export const logSync = (logger: Logger): SyncObserver => ({
  discovered: (event) => logger.debug(event, 'organizations listed'),
  organizationChanged: (event) => logger.info(event, `organization ${event.change}`),
  discoveryFailed: ({ error }) =>
    logger.warn(
      { reason: error instanceof Error ? error.message : String(error) },
      'the listing of organizations failed',
    ),
  jobsPlanned: ({ sources, due }) => logger.debug({ sources, due: due.length }, 'jobs planned'),
  pageCommitted: ({ source, lane, entries, stored, changed, defective }) => {
    const facts = { source: source.id, lane, entries, stored };
    if (changed > 0) logger.warn({ ...facts, changed }, 'an entry came again with other content');
    if (defective > 0) logger.info({ ...facts, defective }, 'entries with defects are stored with their exact text');
    logger.debug(facts, 'page committed');
  },
  walkEnded: ({ source, lane, result }) => {
    if (result === 'assumed') {
      logger.warn({ source: source.id, lane }, 'the cursor of a short last page was refused twice: taken as the end');
    }
    if (result === 'fenced') {
      logger.warn({ source: source.id, lane }, 'fenced: another replica has taken the source, nothing was written');
    }
    if (result === 'lost') {
      logger.warn({ source: source.id, lane }, 'the lease ran out (a pause, or the database was away): dropped');
    }
  },
  sourceFailed: ({ source, failure, message, backoffMs }) =>
    logger.warn({ source: source.id, failure, reason: message, backoffMs }, 'a source failed'),
});
