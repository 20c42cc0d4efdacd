import { Command } from 'commander';
import { endArchive, readCatalogue, useArchive } from '../../archive/catalogue.sql.ts';
import { learnMissingBounds, type WrittenTable, writeTables } from '../../archive/iceberg/write-table.ts';
import { type ManifestFound, type ManifestState, readManifest } from '../../archive/manifest.ts';
import { loadDuck } from '../../archive/parquet/parquet.ts';
import { verifyArchive } from '../../archive/verify-archive.ts';
import { exitCodes } from '../../base/errors.ts';
import { counted } from '../../base/text.ts';
import { asOwner } from '../../postgres/sql-state.ts';
import { type CliContext, print, recordCommand, withDatabase } from '../command.ts';
import { groupCommand } from '../operation-command.ts';
import { showWork } from '../output/terminal.ts';
import { restoreCommand } from './restore-command.ts';
import { readMonth, runCommand, withArchive } from './run-command.ts';

const verifyHelp = `
Reads every object of the catalogue from the bucket and compares its SHA-256. What is wrong is printed, noted in the catalogue,
and makes the exit code 1. With --contents all rows are hashed again as well, which shows that the Parquet can still be read.
Objects of an archive at another address are counted, and not read. A manifest that is not that of the catalogue is said, and
leaves the exit code as it is: it proves nothing, and \`orgtrail archive run\` writes it again. Needs the account of the daemon,
or the owner of the schema.

Examples:
  $ orgtrail archive verify
  $ orgtrail archive verify --month 2024-01 --contents
  $ orgtrail archive verify --json`;

type Options = Readonly<{ month?: string; contents?: boolean; json?: boolean }>;

const verifyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('verify')
    .description('Read every object of the archive, and compare it with the catalogue')
    .option('--month <month>', 'only this month, such as 2024-01', readMonth)
    .option('--contents', 'read the rows and hash them, too')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', verifyHelp)
    .action(async (options: Options) => {
      const contents = options.contents === true;
      if (contents) await loadDuck();
      const work = showWork(context);
      const result = await withArchive(context, async ({ pool, store }) => {
        const all = await readCatalogue(pool, options.month);
        const own = all.filter(({ archive }) => archive === store.name);
        let bytes = 0;
        const verified = await verifyArchive(pool, store, own, {
          contents,
          signal: context.signal,
          onObject: ({ object }) => {
            bytes += object.bytes;
            work.at('verifying', bytes / 1e6, 'MB');
          },
        });
        const faults = verified.flatMap(({ object: { month, key }, fault }) =>
          fault === undefined ? [] : [{ month, key, fault }],
        );
        const manifest = await readManifest(pool, store, context.signal);
        return {
          archive: store.name,
          objects: own.length,
          bytes,
          elsewhere: all.length - own.length,
          faults,
          manifest,
        };
      }).finally(() => work.finish());
      print(context, options, result, describe(result));
      if (result.faults.length > 0) report(exitCodes.sourceFailed);
    });

type Result = Readonly<Record<'objects' | 'bytes' | 'elsewhere', number>> & {
  readonly archive: string;
  readonly faults: readonly Readonly<{ month: string; key: string; fault: string }>[];
  readonly manifest: ManifestFound;
};

const manifestLines: Readonly<Record<ManifestState, string | undefined>> = {
  current: undefined,
  none: undefined,
  missing: 'is not there: `orgtrail archive run` writes it',
  stale: 'is not that of the catalogue: `orgtrail archive run` writes it again',
  unknown:
    'has objects that the catalogue never had: this database may be older than the bucket (docs/operations/backup.md)',
};

const describe = ({ archive, objects, bytes, elsewhere, faults, manifest }: Result): string => {
  const lines = faults.map(({ month, key, fault }) => `${month}: ${key}: ${fault}`);
  if (elsewhere > 0) lines.push(`${counted(elsewhere, 'object')} of an archive at another address: not read`);
  const ofManifest = manifestLines[manifest.state];
  if (ofManifest !== undefined) lines.push(`the manifest ${manifest.key} ${ofManifest}`);
  if (objects === 0) return `${[...lines, `nothing was read: the catalogue has no object in ${archive}`].join('\n')}\n`;
  const read = `${counted(objects, 'object')}, ${counted(bytes, 'byte')} read`;
  return `${[...lines, faults.length === 0 ? `${read}: all as they were written` : `${read}: ${counted(faults.length, 'fault')}`].join('\n')}\n`;
};

const archiveGroup = {
  name: 'archive',
  says: 'Write, list, verify and read the months that are kept on object storage',
  help: `
With ORGTRAIL_ARCHIVE each month is written to object storage as Parquet, read back and compared with the database before
ORGTRAIL_RETENTION may drop it: docs/archive.md. The daemon does that by itself. All of these commands work beside it.

Examples:
  $ ORGTRAIL_ARCHIVE=s3://audit-archive/orgtrail orgtrail archive run
  $ orgtrail archive list
  $ orgtrail archive verify --contents
  $ orgtrail archive restore 2024-01 > january.ndjson`,
};

export const archiveCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  groupCommand(archiveGroup, context, report)
    .addCommand(runCommand(context, report))
    .addCommand(verifyCommand(context, report))
    .addCommand(icebergCommand(context))
    .addCommand(restoreCommand(context))
    .addCommand(endCommand(context));

const endHelp = `
Objects and catalogue stay. A daemon that has ORGTRAIL_ARCHIVE begins again at its next start: take the setting away first.
Needs the owner of the schema.

Examples:
  $ orgtrail archive end`;

const endCommand = (context: CliContext): Command =>
  new Command('end')
    .description('Let months be dropped without an archive again')
    .addHelpText('after', endHelp)
    .action(async () => {
      const ended = await withDatabase(context, async (pool) => {
        const wasInUse = await asOwner('end the archive', endArchive(pool));
        if (wasInUse) await recordCommand(pool, context, { kind: 'hold', command: 'archive end', what: {} });
        return wasInUse;
      });
      context.stdout.write(ended ? 'months are dropped without an archive from now on\n' : 'no archive was in use\n');
    });

const icebergHelp = `
The daemon and \`orgtrail archive run\` write the tables after each round, beside the manifest. This command writes them for the
objects that are there already; those of an earlier version are read once for it. Engines read the file that it prints, or the folder
above it: docs/lake.md. Nothing of an older snapshot is changed or deleted.

Examples:
  $ orgtrail archive iceberg
  $ orgtrail archive iceberg --json | jq -r '.tables[0].metadata'`;

const icebergCommand = (context: CliContext): Command =>
  new Command('iceberg')
    .description('Write the Iceberg tables over the objects, for other query engines')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', icebergHelp)
    .action(async (options: Readonly<{ json?: boolean }>) => {
      const result = await withArchive(context, async ({ pool, store, config: { archive } }) => {
        await useArchive(pool, store.name);
        const unread = await learnMissingBounds({ pool, store }, context.signal);
        const foreign: { readonly kind: string; readonly number: number; readonly instead: number }[] = [];
        const tableBase = archive?.tableBase ?? store.name;
        const onForeign = (kind: string, number: number, instead: number) => foreign.push({ kind, number, instead });
        const tables = await writeTables({ pool, store, tableBase, onForeign }, context.signal);
        return { tables, foreign, unread };
      });
      const { tables, foreign, unread } = result;
      const lines = [
        ...unread.map(({ key, fault }) => `${key}: ${fault}; it is in the table nevertheless, and engines fail on it`),
        ...foreign.map(
          ({ kind, number, instead }) =>
            `another database has written snapshot ${number} of the table of ${kind} into this bucket: ${instead} is the next one here`,
        ),
        ...(tables.length === 0 ? ['no object is in the archive, so there is no table'] : tables.map(describeTable)),
      ];
      print(context, options, result, `${lines.join('\n')}\n`);
    });

const describeTable = ({ kind, snapshot, snapshots, objects, rows, metadata }: WrittenTable): string =>
  `${kind}: snapshot ${snapshot}${snapshots === 0 ? ', as before' : ''}: ${counted(objects, 'object')}, ${counted(rows, 'row')}\n  ${metadata}`;
