import { Command } from 'commander';
import { confirmHolds, endHold, listHolds, orderHold } from '../../archive/hold-operations.ts';
import type { CliContext } from '../command.ts';
import { operationCommand } from '../operation-command.ts';

const help = `
While a hold is in force, ORGTRAIL_RETENTION drops no month with events that the hold covers. Released holds stay in the
table holds, with the name and the time of their release: they are evidence, too. To change them, use the account that owns the schema,
or ask a daemon (--url) with a token that has the scope manage.

Examples:
  $ orgtrail hold add --organization 'Acme Aerospace' --reason 'case 2026-17' --by 'J. Doe, Legal'
  $ orgtrail hold list
  $ orgtrail hold release 3 --by 'J. Doe, Legal'`;

export const holdCommand = (context: CliContext): Command =>
  [orderHold, listHolds, endHold, confirmHolds].reduce(
    (command, one) => command.addCommand(operationCommand(one, context)),
    new Command('hold').description('Manage legal holds: events exempt from retention').addHelpText('after', help),
  );
