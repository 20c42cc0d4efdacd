import { Command } from 'commander';
import { useArchive } from '../../archive/catalogue.sql.ts';
import { learnMissingBounds, type WrittenTable, writeTables } from '../../archive/iceberg/write-table.ts';
import { counted } from '../../base/text.ts';
import { type CliContext, print } from '../command.ts';
import { withArchive } from './run-command.ts';

const help = `
The daemon and \`orgtrail archive run\` write the tables after each round, beside the manifest. This command writes them for the
objects that are there already; those of an earlier version are read once for it. Engines read the file that it prints, or the folder
above it: docs/lake.md. Nothing of an older snapshot is changed or deleted.

Examples:
  $ orgtrail archive iceberg
  $ orgtrail archive iceberg --json | jq -r '.tables[0].metadata'`;

export const icebergCommand = (context: CliContext): Command =>
  new Command('iceberg')
    .description('Write the Iceberg tables over the objects, for other query engines')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', help)
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
        ...(tables.length === 0 ? ['no object is in the archive, so there is no table'] : tables.map(describe)),
      ];
      print(context, options, result, `${lines.join('\n')}\n`);
    });

const describe = ({ kind, snapshot, snapshots, objects, rows, metadata }: WrittenTable): string =>
  `${kind}: snapshot ${snapshot}${snapshots === 0 ? ', as before' : ''}: ${counted(objects, 'object')}, ${counted(rows, 'row')}\n  ${metadata}`;
