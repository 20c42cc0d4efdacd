import { Command } from 'commander';
import { OrgtrailError } from '../../base/errors.ts';
import { formatDuration, parseDateOrInstantMs, parseDurationMs } from '../../base/time.ts';
import { parseScopes, type Scope, scopes } from '../../postgres/access/access.ts';
import { listTokens } from '../../postgres/access/token-operations.ts';
import { type AccessToken, createAccessToken, revokeAccessToken } from '../../postgres/access/tokens.sql.ts';
import { type CliContext, type Given, print, recordCommand, withDatabase } from '../command.ts';
import { operationCommand } from '../operation-command.ts';

const help = `
Give each reader and each person their own token, with a name, scopes and an expiry. The database keeps only its hash. A
revoked token stops working within 10 seconds on every replica, and its sessions in the console end at once.
ORGTRAIL_FEED_TOKEN, if set, has every scope. Needs an account that may write to the table access_tokens: the
owner of the schema. docs/access.md has all of it.

Examples:
  $ orgtrail token create siem --scope feed
  $ orgtrail token list
  $ orgtrail token revoke siem`;

const createHelp = `
Scopes: feed (GET /v1/events), search (GET /v1/search and the console), metrics (/metrics and /healthz, if
ORGTRAIL_HEALTH_ACCESS=token). Each of them opens /v1/status. The token is printed once, and cannot be shown again.

Examples:
  $ orgtrail token create siem --scope feed
  $ orgtrail token create jane.doe --scope search --expires 90d
  $ orgtrail token create auditor --scope search --access-log
  $ orgtrail token create on-call --scope search --replay
  $ orgtrail token create audit-2026 --scope feed,search --expires 2026-12-31 --json | jq -r .token`;

export const tokenCommand = (context: CliContext): Command =>
  new Command('token')
    .description('Manage named tokens, with a scope and an expiry, for the HTTP API and the console')
    .addHelpText('after', help)
    .addCommand(createCommand(context))
    .addCommand(operationCommand(listTokens, context))
    .addCommand(revokeCommand(context));

type CreateOptions = Given<'expires', 'accessLog' | 'replay' | 'json'> & { readonly scope: string };

const createCommand = (context: CliContext): Command =>
  new Command('create')
    .description('Create a token, and print it once')
    .argument('<name>', 'name of the token: letters, digits and . _ @ -')
    .requiredOption('--scope <list>', `what it gives access to: ${scopes.join(', ')}, separated by commas`)
    .option('--expires <time>', 'when it expires: after a duration (90d), at a date (UTC) or RFC 3339 time')
    .option(
      '--access-log',
      'its sessions of the console see the whole trail of access, not only the rows of this token',
    )
    .option('--replay', 'its sessions of the console may replay sinks')
    .option('--json', 'print JSON')
    .addHelpText('after', createHelp)
    .action(async (name: string, options: CreateOptions) => {
      if (!/^[\w.@-]{1,64}$/.test(name)) {
        throw new OrgtrailError('usage', 'a name has 1 to 64 letters, digits and . _ @ -');
      }
      // A name grants changes to its saved searches and tells tokens apart in the trail of access.
      if (name === 'ORGTRAIL_FEED_TOKEN') {
        throw new OrgtrailError('usage', 'ORGTRAIL_FEED_TOKEN is the name of the token of the environment');
      }
      const scopesOf = readScopes(options.scope);
      const rights = readRights(options, scopesOf);
      const wanted = { name, scopes: scopesOf, expiresAt: readEnd(options.expires, Date.now()), ...rights };
      const made = await withDatabase(context, async (pool) => {
        const created = await createAccessToken(pool, wanted);
        if (created !== undefined) {
          const { scopes, expiresAt } = created;
          const more = {
            ...(rights.seesAccessLog && { accessLog: true }),
            ...(rights.replaysSinks && { replay: true }),
          };
          const what = { name, scopes, expiresAt, ...more };
          await recordCommand(pool, context, { kind: 'token', command: 'token create', what });
        }
        return created;
      });
      if (made === undefined) {
        throw new OrgtrailError('usage', `there is a token ${name} already`, {
          hint: `revoke it first (\`orgtrail token revoke ${name}\`), or make the new one under another name and revoke this one later`,
        });
      }
      print(context, options, made, `${made.token}\n${describe(made)}; it is not shown again\n`);
    });

const readScopes = (text: string): readonly Scope[] => {
  const read = parseScopes(text);
  if (read !== undefined) return read;
  throw new OrgtrailError('usage', `--scope is a list of ${scopes.join(', ')}, not ${JSON.stringify(text)}`);
};

/** Of sessions of the console, besides searching. */
const readRights = ({ accessLog = false, replay = false }: CreateOptions, has: readonly Scope[]) => {
  const option = accessLog ? '--access-log' : '--replay';
  if ((accessLog || replay) && !has.includes('search')) {
    throw new OrgtrailError('usage', `${option} needs the scope search, which opens the console`);
  }
  return { seesAccessLog: accessLog, replaysSinks: replay };
};

const readEnd = (text: string | undefined, nowMs: number): Date | undefined => {
  if (text === undefined) return undefined;
  const durationMs = parseDurationMs(text);
  const endMs = durationMs === undefined ? parseDateOrInstantMs(text) : nowMs + durationMs;
  if (endMs === undefined || Number.isNaN(new Date(endMs).getTime())) {
    throw new OrgtrailError(
      'usage',
      `--expires is a duration such as 90d, a date or an RFC 3339 time, not ${JSON.stringify(text)}`,
    );
  }
  if (endMs <= nowMs) throw new OrgtrailError('usage', '--expires must be in the future');
  return new Date(endMs);
};

const describe = ({ name, scopes: has, expiresAt, seesAccessLog, replaysSinks }: AccessToken): string => {
  const end = expiresAt === null ? 'does not expire' : `expires in ${formatDuration(expiresAt.getTime() - Date.now())}`;
  const sees = seesAccessLog ? ', sees the whole trail of access' : '';
  const replays = replaysSinks ? ', may replay sinks' : '';
  return `the token ${name} has the scope ${has.join(', ')}${sees}${replays} and ${end}`;
};

const revokeCommand = (context: CliContext): Command =>
  new Command('revoke')
    .description('Revoke a token and end its sessions; it stays in the list')
    .argument('<name>', 'name of the token (see: orgtrail token list)')
    .option('--json', 'print JSON')
    .action(async (name: string, options: { json?: boolean }) => {
      const token = await withDatabase(context, async (pool) => {
        const revoked = await revokeAccessToken(pool, name);
        if (revoked !== undefined) {
          await recordCommand(pool, context, { kind: 'token', command: 'token revoke', what: { name } });
        }
        return revoked;
      });
      if (token === undefined) {
        throw new OrgtrailError('usage', `there is no token ${JSON.stringify(name)} that could be revoked`, {
          hint: '`orgtrail token list` shows all',
        });
      }
      print(context, options, token, `the token ${name} is revoked: it stops working within 10 seconds\n`);
    });
