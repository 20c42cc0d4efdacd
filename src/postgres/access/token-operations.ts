import { z } from 'zod';
import { OrgtrailError } from '../../base/errors.ts';
import { flag, instant, isOfCalendar, operation } from '../../base/operation.ts';
import { printable, table } from '../../base/text.ts';
import { formatDuration, parseDateOrInstantMs, parseDurationMs } from '../../base/time.ts';
import type { Pool } from '../pool.ts';
import { parseScopes, scopes } from './access.ts';
import type { OperationSource } from './access-log.sql.ts';
import { createAccessToken, readAccessTokens, revokeAccessToken } from './tokens.sql.ts';

const token = z.object({
  id: z.number(),
  name: z.string(),
  scopes: z.array(z.string()),
  state: z.string().describe('active, expired or revoked.'),
  expiresAt: instant.nullable().describe('Null: never.'),
  createdAt: instant,
  createdAs: z.string().describe('The account of the database.'),
  revokedAt: instant.nullable(),
  revokedAs: z.string().nullable(),
  seesAccessLog: z.boolean().describe('Its sessions of the console see the whole trail of access.'),
  replaysSinks: z.boolean().describe('Its sessions of the console may replay sinks.'),
});

export const listTokens = operation({
  name: 'token list',
  says: 'Show every token, revoked ones included, without its secret',
  path: '/v1/tokens',
  tool: 'list_tokens',
  needs: { scope: 'search', trail: 'token' },
  input: z.strictObject({}),
  output: z.array(token).readonly().describe('The oldest first.'),
  run: ({ pool }: { readonly pool: Pool }) => readAccessTokens(pool),
  show: (tokens) => (tokens.length === 0 ? 'no tokens\n' : tokenTable(tokens)),
});

export const createToken = operation({
  name: 'token create',
  says: 'Create a token, and print it once',
  path: '/v1/tokens/:name',
  needs: { scope: 'manage' },
  help: `
Scopes: feed (GET /v1/events), search (GET /v1/search and the console), metrics (/metrics and /healthz, if
ORGTRAIL_HEALTH_ACCESS=token), manage (orders: holds, tokens, replays). Each of them opens /v1/status. The token is printed once, and
cannot be shown again. A token with the scope manage gives no scope that it lacks, and none for longer than it lasts.

Examples:
  $ orgtrail token create siem --scope feed
  $ orgtrail token create jane.doe --scope search --expires 90d
  $ orgtrail token create auditor --scope search --access-log
  $ orgtrail token create on-call --scope search --replay
  $ orgtrail token create legal --scope search,manage --expires 30d
  $ orgtrail token create audit-2026 --scope feed,search --expires 2026-12-31 --json | jq -r .token`,
  input: z
    .strictObject({
      name: z
        .string()
        .regex(/^(?!\.+$)[\w.@-]{1,64}$/, 'must have 1 to 64 letters, digits and . _ @ -')
        // A name grants changes to its saved searches and tells tokens apart in the trail of access.
        .regex(/^(?!ORGTRAIL_FEED_TOKEN$)/, 'must not be ORGTRAIL_FEED_TOKEN: that is the token of the environment')
        .describe('name of the token: letters, digits and . _ @ -'),
      scope: z
        .string('must be given once')
        .refine((list) => parseScopes(list) !== undefined, `must be a list of ${scopes.join(', ')}`)
        .describe(`what it gives access to: ${scopes.join(', ')}, separated by commas`),
      expires: z
        .string('must be given once')
        .refine((given) => endOf(given) !== undefined, {
          error: 'must be a duration such as 90d, a date or an RFC 3339 time',
          abort: true,
        })
        .refine((given) => (endOf(given)?.getTime() ?? 0) > Date.now(), 'must be in the future')
        .optional()
        .describe('when it expires: after a duration (90d), at a date (UTC) or RFC 3339 time'),
      access_log: flag('its sessions of the console see the whole trail of access, not only the rows of this token'),
      replay: flag('its sessions of the console may replay sinks'),
    })
    .refine(({ scope, access_log: log, replay }) => (log ?? replay) !== true || scope.includes('search'), {
      path: ['scope'],
      message: 'must have search, which opens the console, for what its sessions may do',
    }),
  output: token.extend({ token: z.string().describe('The secret, shown this once.') }),
  values: { scope: 'list', expires: 'time' },
  run: async (source: OperationSource, { name, scope, expires, access_log: seesAccessLog, replay: replaysSinks }) => {
    const rights = { seesAccessLog: seesAccessLog === true, replaysSinks: replaysSinks === true };
    const expiresAt = expires === undefined ? undefined : endOf(expires);
    const made = await createAccessToken(source, { name, scopes: parseScopes(scope) ?? [], expiresAt, ...rights });
    if (made !== undefined) return made;
    throw new OrgtrailError('usage', `there is a token ${name} already`, {
      hint: `revoke it first (\`orgtrail token revoke ${name}\`), or make the new one under another name and revoke this one later`,
    });
  },
  show: (made) => `${made.token}\n${describe(made)}; it is not shown again\n`,
});

const endOf = (given: string): Date | undefined => {
  const durationMs = parseDurationMs(given);
  const end = new Date(
    (durationMs === undefined ? parseDateOrInstantMs(given) : Date.now() + durationMs) ?? Number.NaN,
  );
  return isOfCalendar(end.getTime()) ? end : undefined;
};

const describe = ({ name, scopes: has, expiresAt, seesAccessLog, replaysSinks }: z.output<typeof token>): string => {
  const end = expiresAt === null ? 'does not expire' : `expires in ${formatDuration(expiresAt.getTime() - Date.now())}`;
  const sees = seesAccessLog ? ', sees the whole trail of access' : '';
  const replays = replaysSinks ? ', may replay sinks' : '';
  return `the token ${name} has the scope ${has.join(', ')}${sees}${replays} and ${end}`;
};

export const revokeToken = operation({
  name: 'token revoke',
  says: 'Revoke a token and end its sessions; it stays in the list',
  path: '/v1/tokens/:name/revoke',
  tool: 'revoke_token',
  needs: { scope: 'manage' },
  input: z.strictObject({ name: z.string().describe('name of the token (see: orgtrail token list)') }),
  output: token,
  run: async (source: OperationSource, { name }) => {
    const revoked = await revokeAccessToken(source, name);
    if (revoked !== undefined) return revoked;
    throw new OrgtrailError('usage', `there is no token ${JSON.stringify(name)} that could be revoked`, {
      hint: '`orgtrail token list` shows all',
    });
  },
  show: ({ name }) => `the token ${name} is revoked: it stops working within 10 seconds, as do those made with it\n`,
});

const tokenTable = (tokens: readonly z.output<typeof token>[]): string => {
  const rows = tokens.map((token) => [
    printable(token.name, 64),
    token.revokedAt === null
      ? token.state
      : `revoked ${token.revokedAt.toISOString()} by ${printable(token.revokedAs ?? '-', 32)}`,
    `${token.scopes.join(',')}${token.seesAccessLog ? ' +access-log' : ''}${token.replaysSinks ? ' +replay' : ''}`,
    token.expiresAt?.toISOString() ?? 'never',
    `${token.createdAt.toISOString()} by ${printable(token.createdAs, 32)}`,
  ]);
  return table(['NAME', 'STATE', 'SCOPES', 'EXPIRES', 'CREATED'], rows);
};

export const tokenGroup = {
  name: 'token',
  says: 'Manage named tokens, with a scope and an expiry, for the HTTP API and the console',
  help: `
Give each reader and each person their own token, with a name, scopes and an expiry. The database keeps only its hash. A
revoked token stops working within 10 seconds on every replica, and its sessions in the console end at once.
ORGTRAIL_FEED_TOKEN, if set, has every scope but manage. To create or revoke, use the account that owns the schema, or ask a daemon (--url) with
a token that has the scope manage. docs/access.md has all of it.

Examples:
  $ orgtrail token create siem --scope feed
  $ orgtrail token list
  $ orgtrail token revoke siem`,
};
