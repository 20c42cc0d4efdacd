import type { Logger } from 'pino';
import { archiveMonth } from '../archive/archive-month.ts';
import { useArchive } from '../archive/catalogue.sql.ts';
import { createArchivedEvents } from '../archive/history/archived-events.ts';
import { writeTables } from '../archive/iceberg/write-table.ts';
import { writeManifest } from '../archive/manifest.ts';
import { loadDuck } from '../archive/parquet/parquet.ts';
import { keepState, writeState } from '../archive/restore/state-object.ts';
import { archiveSettled, type SettledMonths } from '../archive/settled-months.sql.ts';
import { openObjectStore } from '../archive/store.ts';
import { reasonOf } from '../base/errors.ts';
import type { Time } from '../base/time.ts';
import type { ArchivedEvents } from '../feed/feed.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Config } from './config/config.ts';
import { logArchive } from './telemetry/log-delivery.ts';
import type { Metrics } from './telemetry/metrics.ts';

/** Before anything is opened. Throws OrgtrailError `configuration` if there is to be an archive and nothing that writes it. */
export const requireArchiveWriter = async ({ archive }: Pick<Config, 'archive'>): Promise<void> => {
  if (archive !== undefined) await loadDuck();
};

/** From then on no replica drops a month that is not in the archive. The database may have one in use that is not configured here: months stay. */
export const openArchive = async (
  { archive }: Pick<Config, 'archive'>,
  pool: Pool,
  {
    logger,
    metrics,
    readUnread,
    signal,
  }: Pick<SettledMonths, 'readUnread'> & {
    readonly logger: Logger;
    readonly metrics: Pick<Metrics, 'archiveFailed'>;
    readonly signal: AbortSignal;
  },
) => {
  if (archive === undefined) return undefined;
  const store = openObjectStore(archive.target, archive.s3);
  await useArchive(pool, store.name);
  const observer = logArchive(logger);
  const onForeign = (kind: string, number: number, instead: number) =>
    logger.error({ kind, number, instead }, 'another database writes the table of this archive, into the same bucket');
  const archiveOne = async (month: string, trustsCatalogue: boolean): Promise<void> => {
    const { parquetVersion } = archive;
    try {
      await archiveMonth({ pool, store, observer, parquetVersion, trustsCatalogue }, month, signal);
    } catch (error) {
      if (!signal.aborted) metrics.archiveFailed();
      throw error;
    }
    // They are for readers without a database: a month may be dropped without them.
    const unwritten = (what: string) => (error: unknown) => {
      if (!signal.aborted) logger.warn({ month, reason: reasonOf(error) }, `${what} of the archive was not written`);
    };
    await writeManifest({ pool, store }, signal).catch(unwritten('the manifest'));
    await writeTables({ pool, store, tableBase: archive.tableBase, onForeign }, signal).catch(unwritten('the table'));
  };
  const settled = { pool, archive: store.name, afterMs: archive.afterMs, readUnread, logger, signal };
  return {
    store,
    archiveMonth: (month: string) => archiveOne(month, false),
    archiveSettled: async () => {
      const archived = await archiveSettled({ ...settled, archiveMonth: (month) => archiveOne(month, true) });
      // A lost database comes back as of then.
      const written = await writeState({ pool, store }, signal).catch((error: unknown) => {
        if (!signal.aborted)
          logger.warn({ reason: reasonOf(error) }, 'the state was not written to the archive; retrying later');
      });
      return archived && written !== undefined;
    },
    /** Until the signal. */
    keepState: async (time: Pick<Time, 'sleep'>) => await keepState({ pool, store, time, logger, signal }),
    close: () => store.close(),
  };
};

/** Undefined: no archive is configured, and what was dropped is gone. */
export const archivedEventsOf = ({ archive }: Pick<Config, 'archive'>) =>
  archive && ((pool: Pool): ArchivedEvents => createArchivedEvents(pool, openObjectStore(archive.target, archive.s3)));
