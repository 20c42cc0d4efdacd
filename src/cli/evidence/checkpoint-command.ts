import { Command, Option } from 'commander';
import { OrgtrailError } from '../../errors.ts';
import { readNewestCheckpoints } from '../../evidence/stored/newest-checkpoints.sql.ts';
import type { CliContext } from '../cli-context.ts';
import { withDatabase } from '../with-database.ts';

const help = `
A signed note of c2sp.org/tlog-checkpoint. Keep it outside of this database: \`orgtrail evidence verify --anchor\` compares with it, and no
history that was rewritten since agrees. Of both logs, unless --log names one: then the output is the note, byte for byte.

Examples:
  $ orgtrail evidence checkpoint
  $ orgtrail evidence checkpoint --log events > checkpoint-of-june`;

interface Options {
  readonly log?: 'events' | 'journal';
  readonly json?: boolean;
}

export const checkpointCommand = (context: CliContext): Command =>
  new Command('checkpoint')
    .description('Print the newest signed checkpoints')
    .addOption(new Option('--log <name>', 'of this log alone').choices(['events', 'journal']))
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async ({ log, json }: Options) => {
      const all = await withDatabase(context, readNewestCheckpoints);
      const found = all.filter((one) => log === undefined || one.log === log);
      if (found.length === 0) {
        throw new OrgtrailError('usage', 'no checkpoint is signed yet', { hint: 'docs/evidence.md says how to begin' });
      }
      if (json === true) {
        const shown = found.map(({ root, madeAt, generation, ...one }) => ({
          ...one,
          generation,
          root: root.toString('base64'),
          made_at: madeAt,
        }));
        context.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      } else {
        context.stdout.write(found.map(({ note }) => note).join('\n'));
      }
    });
