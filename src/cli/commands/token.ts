import { Command } from 'commander';
import { createToken, listTokens, revokeToken } from '../../postgres/access/token-operations.ts';
import type { CliContext } from '../command.ts';
import { operationCommand } from '../operation-command.ts';

const help = `
Give each reader and each person their own token, with a name, scopes and an expiry. The database keeps only its hash. A
revoked token stops working within 10 seconds on every replica, and its sessions in the console end at once.
ORGTRAIL_FEED_TOKEN, if set, has every scope but manage. To create or revoke, use the account that owns the schema, or ask a daemon (--url) with
a token that has the scope manage. docs/access.md has all of it.

Examples:
  $ orgtrail token create siem --scope feed
  $ orgtrail token list
  $ orgtrail token revoke siem`;

export const tokenCommand = (context: CliContext): Command =>
  [createToken, listTokens, revokeToken].reduce(
    (command, one) => command.addCommand(operationCommand(one, context)),
    new Command('token')
      .description('Manage named tokens, with a scope and an expiry, for the HTTP API and the console')
      .addHelpText('after', help),
  );
