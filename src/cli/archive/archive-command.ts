import { Command, Option } from 'commander';
import { type CataloguedObject, endArchive, readArchivePolicy, readCatalogue } from '../../archive/catalogue.sql.ts';
import { asOwner } from '../../postgres/sql-state.ts';
import type { CliContext } from '../cli-context.ts';
import { noteCommand } from '../note-command.ts';
import { alignColumns, printable } from '../output/terminal-table.ts';
import { withDatabase } from '../with-database.ts';
import { restoreCommand } from './restore-command.ts';
import { runCommand } from './run-command.ts';
import { verifyCommand } from './verify-command.ts';

const help = `
With ORGTRAIL_ARCHIVE each month is written to object storage as Parquet, read back and compared with the database before
ORGTRAIL_RETENTION may drop it: docs/archive.md. The daemon does that by itself. All of these commands work beside it.

Examples:
  $ ORGTRAIL_ARCHIVE=s3://audit-archive/orgtrail orgtrail archive run
  $ orgtrail archive list
  $ orgtrail archive verify --contents
  $ orgtrail archive restore 2024-01 > january.ndjson`;

export const archiveCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('archive')
    .description('Write, list, verify and read the months that are kept on object storage')
    .addHelpText('after', help)
    .addCommand(runCommand(context, report))
    .addCommand(listCommand(context))
    .addCommand(verifyCommand(context, report))
    .addCommand(restoreCommand(context))
    .addCommand(endCommand(context));

const listHelp = `
Objects that others have taken the place of are not listed; they are still in the bucket and in the table archive_objects.
With --addresses it prints where each object of events is, for other query engines: docs/query.md.

Examples:
  $ orgtrail archive list
  $ orgtrail archive list --json | jq -r '.objects[] | [.month, .key, .sha256] | @tsv'
  $ orgtrail archive list --addresses > objects.txt`;

const listCommand = (context: CliContext): Command =>
  new Command('list')
    .description('Show the catalogue: every object, what it holds, and when it was last read')
    .option('--json', 'print JSON')
    .addOption(new Option('--addresses', 'print the address of each object of events, one per line').conflicts('json'))
    .addHelpText('after', listHelp)
    .action(async (options: { json?: boolean; addresses?: boolean }) => {
      const [archive, objects] = await withDatabase(context, (pool) =>
        Promise.all([readArchivePolicy(pool), readCatalogue(pool)]),
      );
      if (options.addresses === true) {
        const events = objects.filter(({ kind }) => kind === 'events');
        context.stdout.write(events.map((object) => `${addressOf(object)}\n`).join(''));
        return;
      }
      if (options.json === true) {
        context.stdout.write(`${JSON.stringify({ archive: archive ?? null, objects }, null, 2)}\n`);
        return;
      }
      context.stdout.write(`archive in use: ${archive ?? 'none, so months are dropped without one'}\n`);
      context.stdout.write(objects.length === 0 ? 'no objects\n' : objectTable(objects));
    });

/** As other programs name it: a path, or bucket and key without the endpoint. */
const addressOf = ({ archive, key }: CataloguedObject): string =>
  `${archive.replace(/^file:\/\//, '').replace(/\?endpoint=.*$/, '')}/${key}`;

const objectTable = (objects: readonly CataloguedObject[]): string => {
  const rows = objects.map((object) => [
    object.month,
    object.kind,
    object.events.toLocaleString('en'),
    `${object.firstPosition}-${object.lastPosition}`,
    object.bytes.toLocaleString('en'),
    stateOf(object),
    object.verifiedAt ?? '-',
    printable(`${object.archive} ${object.key}`, 200),
  ]);
  const header = ['MONTH', 'KIND', 'ROWS', 'POSITIONS', 'BYTES', 'STATE', 'READ BACK', 'OBJECT'];
  return `${alignColumns([header, ...rows]).join('\n')}\n`;
};

const stateOf = ({ fault, droppedAt }: CataloguedObject): string => {
  if (fault !== null) return `fault: ${printable(fault, 60)}`;
  return droppedAt === null ? 'in the database as well' : 'in the archive alone';
};

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
        if (wasInUse) await noteCommand(pool, context, { kind: 'hold', command: 'archive end', what: {} });
        return wasInUse;
      });
      context.stdout.write(ended ? 'months are dropped without an archive from now on\n' : 'no archive was in use\n');
    });
