import { Command, InvalidArgumentError } from 'commander';
import { type Config, loadConfig } from '../../app/config/config.ts';
import { kindPoliciesWithDrops, unreadMonthsOf } from '../../app/sync-context.ts';
import {
  type ArchiveContext,
  type ArchivedMonth,
  type ArchiveObserver,
  archiveMonth,
} from '../../archive/archive-month.ts';
import { requireNoRestore, useArchive } from '../../archive/catalogue.sql.ts';
import { writeTables } from '../../archive/iceberg/write-table.ts';
import { type WrittenManifest, writeManifest } from '../../archive/manifest.ts';
import { loadDuck, type ParquetVersion } from '../../archive/parquet/parquet.ts';
import { writeState } from '../../archive/restore/state-object.ts';
import { type DroppedMonth, dropOldMonths, type RetentionResult, readOldMonths } from '../../archive/retention.sql.ts';
import { readSettledMonths } from '../../archive/settled-months.sql.ts';
import { isStorageFault, type ObjectStore, openObjectStore } from '../../archive/store.ts';
import { exitCodes, OrgtrailError, reasonOf } from '../../base/errors.ts';
import { counted } from '../../base/text.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, type OpenedDatabase, print, withDatabase } from '../command.ts';

const help = `
Without --month it takes every month that is older than ORGTRAIL_RETENTION, and those that are closed and settled
(ORGTRAIL_ARCHIVE_AFTER). What is in the archive already is read back, unless the month is younger than ORGTRAIL_RETENTION; only what
is missing is written. From the first run on no replica drops a month that is not in this archive: \`orgtrail archive end\`
takes that back. With --drop it does what the daemon does once a day: it drops what nothing else needs. The last thing that it
writes is the manifest, a list of the objects for readers that have no database, and the state that a lost database comes back from.

Examples:
  $ ORGTRAIL_RETENTION=730d ORGTRAIL_ARCHIVE=s3://audit-archive/orgtrail orgtrail archive run
  $ orgtrail archive run --month 2024-01 --month 2024-02
  $ orgtrail archive run --drop --json`;

type Options = Readonly<{ month?: readonly string[]; drop?: boolean; json?: boolean }>;

export const readMonth = (text: string): string => {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a month such as 2024-01.');
};

export const collectMonth = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  readMonth(text),
];

export const runCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('run')
    .description('Bring months into the archive, and read back what is in it')
    .option('--month <month>', 'this month, also if it is younger; repeatable', collectMonth)
    .option('--drop', 'drop the months that are older than ORGTRAIL_RETENTION then')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      if (options.drop === true && options.month !== undefined) {
        throw new OrgtrailError('usage', '--drop takes all months that are old enough: leave --month out');
      }
      await loadDuck();
      const result = await withArchive(context, async ({ pool, store, parquetVersion, config }) => {
        const ageMs = Math.min(config.retentionMs, config.archive?.afterMs ?? Number.POSITIVE_INFINITY);
        if (options.month === undefined && ageMs === Number.POSITIVE_INFINITY) {
          throw new OrgtrailError(
            'usage',
            'no month is old enough: ORGTRAIL_ARCHIVE_AFTER is never, and ORGTRAIL_RETENTION is not set',
            {
              hint: 'set one of them, or name months with --month',
            },
          );
        }
        await useArchive(pool, store.name);
        const observer = lines(context, options.json === true);
        return await run({ pool, store, observer, parquetVersion }, config, options, context.signal);
      });
      print(context, options, result, describe(result));
      if (result.failed.length > 0 || 'fault' in result.manifest) report(exitCodes.sourceFailed);
    });

interface Result {
  readonly archived: readonly ArchivedMonth[];
  readonly dropped: readonly DroppedMonth[];
  /** Old enough, but still in the database. */
  readonly kept: RetentionResult['kept'];
  readonly failed: readonly string[];
  readonly manifest: WrittenManifest | { readonly fault: string };
}

/** What was archived and dropped is reported nevertheless. */
const faultOf = (error: unknown, signal: AbortSignal): { readonly fault: string } => {
  signal.throwIfAborted();
  return { fault: reasonOf(error) };
};

const run = async (archive: ArchiveContext, config: Config, options: Options, signal: AbortSignal): Promise<Result> => {
  const { retentionMs } = config;
  const { pool, store } = archive;
  await requireNoRestore(pool);
  const archived: ArchivedMonth[] = [];
  const archiveOne = async (month: string, trustsCatalogue = false) => {
    archived.push(await archiveMonth({ ...archive, trustsCatalogue }, month, signal));
  };
  const readUnread = async (olderThanMs = retentionMs) =>
    unreadMonthsOf(config, pool, await kindPoliciesWithDrops(config, pool), olderThanMs);
  const archiveYounger = async () => {
    const afterMs = config.archive?.afterMs ?? Number.POSITIVE_INFINITY;
    const months = await readSettledMonths({ pool, archive: store.name, afterMs, readUnread });
    for (const month of months) await archiveOne(month, true);
  };
  let named: WrittenManifest | undefined;
  const nameObjects = async () => {
    const written = await writeManifest(archive, signal);
    const [isWritten, keptAs] = [written.isWritten || named?.isWritten === true, written.keptAs ?? named?.keptAs];
    named = { ...written, isWritten, keptAs };
    return named;
  };
  const manifest = async () => {
    const tableBase = config.archive?.tableBase ?? store.name;
    try {
      const written = await nameObjects();
      await writeTables({ pool, store, tableBase }, signal);
      await writeState({ pool, store }, signal);
      return written;
    } catch (error) {
      return faultOf(error, signal);
    }
  };
  if (options.drop === true) {
    // Before anything leaves the database: should this process die, a lost database comes back by them. A fault is told at the end.
    await nameObjects()
      .then(() => writeState({ pool, store }, signal))
      .catch(() => {});
    const archiveNamed = async (month: string) => {
      await archiveOne(month);
      await nameObjects().catch(() => {});
    };
    const { dropped, kept } = await dropOldMonths(pool, retentionMs, archiveNamed, readUnread);
    await archiveYounger();
    const failed = kept.filter(({ reason }) => reason.startsWith('archiving it failed')).map(({ month }) => month);
    signal.throwIfAborted();
    return { archived, dropped, kept, failed, manifest: await manifest() };
  }
  for (const month of options.month ?? (await readOldMonths(pool, retentionMs))) await archiveOne(month);
  if (options.month === undefined) await archiveYounger();
  return { archived, dropped: [], kept: [], failed: [], manifest: await manifest() };
};

/** Reports as it happens; on stderr if stdout is for a program. */
const lines = ({ stdout, stderr }: CliContext, isJson: boolean): ArchiveObserver => {
  const say = (line: string) => (isJson ? stderr : stdout).write(`${line}\n`);
  return {
    written: ({ month, kind, events, bytes, key }) =>
      say(
        `${month}: wrote ${counted(events, kind === 'events' ? 'event' : 'change')}, ${counted(bytes, 'byte')}: ${key}`,
      ),
    proven: ({ month, key }) => say(`${month}: read back ${key}`),
    faulty: ({ month, key }, fault) => say(`${month}: ${key}: ${fault}; its events are written again`),
  };
};

const describe = ({ archived, dropped, kept, manifest }: Result): string => {
  const months = archived.map(({ month, written, proven }) =>
    written + proven === 0
      ? `${month}: the database has no event of it, so nothing was written or read back`
      : `${month} is in the archive: ${counted(written, 'object')} written, ${proven.toLocaleString('en')} read back`,
  );
  const gone = dropped.map(({ month, events }) => `${month} was dropped: ${counted(events, 'event')}`);
  const left = kept.map(({ month, reason }) => `${month} was kept: ${reason}`);
  const all = [...months, ...gone, ...left];
  return `${[...(all.length === 0 ? ['no month is old enough'] : all), ...describeManifest(manifest)].join('\n')}\n`;
};

const describeManifest = (manifest: Result['manifest']): readonly string[] => {
  if ('fault' in manifest) return [`the manifest, the table or the state is not written: ${manifest.fault}`];
  const { key, isWritten, keptAs } = manifest;
  const kept = `the manifest that was there has objects that this database never had: it is kept as ${keptAs}`;
  return [...(keptAs === undefined ? [] : [kept]), ...(isWritten ? [`the manifest is written: ${key}`] : [])];
};

type OpenedArchive = OpenedDatabase & Readonly<{ pool: Pool; store: ObjectStore; parquetVersion: ParquetVersion }>;

/** Opens and closes the database and the configured archive. Throws OrgtrailError, also for faults of the storage. */
export const withArchive = async <T>(context: CliContext, use: (opened: OpenedArchive) => Promise<T>): Promise<T> => {
  // Before the database is opened.
  const { archive } = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  if (archive === undefined) {
    throw new OrgtrailError('usage', 'ORGTRAIL_ARCHIVE is not set', {
      hint: 'set it to where the archive is, such as s3://bucket/prefix; docs/archive.md',
    });
  }
  const { parquetVersion } = archive;
  const store = openObjectStore(archive.target, archive.s3);
  try {
    return await withDatabase(context, (pool, opened) => use({ ...opened, pool, store, parquetVersion }));
  } catch (error) {
    if (!isStorageFault(error)) throw error;
    throw new OrgtrailError('api_unreachable', `${store.name}: ${reasonOf(error)}`, {
      hint: 'docs/operations/troubleshooting.md says what each reason means; nothing was dropped',
      cause: error,
    });
  } finally {
    await store.close();
  }
};
