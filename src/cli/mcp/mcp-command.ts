import { Command } from 'commander';
import { OrgtrailError } from '../../base/errors.ts';
import { tokenProof } from '../../postgres/access/access.ts';
import { type CliContext, type Given, withDatabase } from '../command.ts';
import { readTokenFile } from '../daemon.ts';

const help = `
For programs that let a language model ask questions: they start this command and speak the Model Context Protocol over its stdin and
stdout. Its tools search events, count them, show one event, one actor, address, token or resource, the status of collection, what of a
time is not collected, what the detections found, holds, tokens, sinks, the signed log. Each answer about events says what it may lack.

Without --allow-writes nothing can be changed by it: its sessions are read-only, whatever the account of DATABASE_URL may do. Use an
account that may read alone nevertheless: docs/mcp.md. What is asked is kept in access_log, under the name of --by, if the account may write there.

With --allow-writes and a token, a model can also add and release holds, revoke tokens and replay sinks.

The texts of events come from those who acted. A model may take them for instructions: give it no tools beside these that change things.

Examples:
  $ DATABASE_URL=postgres://mcp:...@db/orgtrail orgtrail mcp --by jane.doe
  $ claude mcp add orgtrail -e DATABASE_URL=postgres://mcp:...@db/orgtrail -- orgtrail mcp --by jane.doe`;

export const mcpCommand = (context: CliContext): Command =>
  new Command('mcp')
    .description('Serve tools for language models over stdin and stdout (MCP)')
    .option('--by <name>', 'who asks, for the trail of access')
    .option('--allow-writes', 'also offer orders, for the token of --token-file')
    .option('--token-file <file>', 'for --allow-writes: file of a token with the scope manage')
    .addHelpText('after', help)
    .action(async ({ by, allowWrites, tokenFile }: Given<'by' | 'tokenFile', 'allowWrites'>) => {
      if ((allowWrites === true) !== (tokenFile !== undefined)) {
        throw new OrgtrailError('usage', '--allow-writes and --token-file go together: orders are given for a token');
      }
      const proof = tokenFile === undefined ? undefined : tokenProof(readTokenFile(tokenFile));
      await withDatabase(context, async (_pool, opened) => {
        // No other command needs it.
        const { serveMcp } = await import('./serve-mcp.ts');
        await serveMcp(context, opened, { by, proof });
      });
    });
