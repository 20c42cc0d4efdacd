import { Counter, Gauge, type Registry } from 'prom-client';
import type { ArchiveStatus } from '../../archive/archive-status.sql.ts';

/** Of the archive; the gauges are NaN if none is configured. */
export const createArchiveMetrics = (registers: Registry[]) => ({
  waiting: new Gauge({
    name: 'orgtrail_archive_waiting_months',
    help: 'Months older than ORGTRAIL_RETENTION that are still in the database, those of holds and sinks included; NaN without an archive.',
    registers,
  }),
  faulty: new Gauge({
    name: 'orgtrail_archive_faulty_objects',
    help: 'Objects that were missing or had other bytes when they were last read; NaN without an archive.',
    registers,
  }),
  writtenAge: new Gauge({
    name: 'orgtrail_archive_written_age_seconds',
    help: 'Seconds since an object was last written, read back and entered in the catalogue; NaN before the first.',
    registers,
  }),
  failures: new Counter({
    name: 'orgtrail_archive_failures_total',
    help: 'Attempts of this process to archive a month that failed; the month stays, and the attempt is repeated.',
    registers,
  }),
});

export type ArchiveMetrics = ReturnType<typeof createArchiveMetrics>;

/** Sets the gauges. */
export const showArchive = (
  { waiting, faulty, writtenAge }: Pick<ArchiveMetrics, 'waiting' | 'faulty' | 'writtenAge'>,
  status: ArchiveStatus | undefined,
): void => {
  waiting.set(status?.waitingMonths ?? Number.NaN);
  faulty.set(status?.faultyObjects ?? Number.NaN);
  writtenAge.set(status?.writtenSecondsAgo ?? Number.NaN);
};
