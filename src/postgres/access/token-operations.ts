import { z } from 'zod';
import { instant, operation } from '../../base/operation.ts';
import { printable, table } from '../../base/text.ts';
import type { Pool } from '../pool.ts';
import { readAccessTokens } from './tokens.sql.ts';

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
