import { z } from 'zod';
import { instant, operation } from '../base/operation.ts';
import { printable, table } from '../base/text.ts';
import type { Pool } from '../postgres/pool.ts';
import { type Hold, readHolds } from './holds.sql.ts';

const hold = z.object({
  id: z.number(),
  organizationId: z.string().nullable().describe('Null: not of one organization.'),
  organizationName: z.string().nullable(),
  accountId: z.string().nullable().describe('Null: not of one account. With neither it holds everything.'),
  accountName: z.string().nullable(),
  since: z.string().nullable().describe('Inclusive; null: from the beginning.'),
  before: z.string().nullable().describe('Exclusive; null: without an end.'),
  reason: z.string(),
  createdBy: z.string().nullable().describe('As the one who added it said.'),
  createdAs: z.string().describe('The account of the database.'),
  createdAt: instant,
  releasedBy: z.string().nullable(),
  releasedAs: z.string().nullable(),
  releasedAt: instant.nullable().describe('Null: it is in force.'),
});

export const listHolds = operation({
  name: 'hold list',
  says: 'Show every hold, in force or released',
  path: '/v1/holds',
  tool: 'list_holds',
  needs: { scope: 'search', trail: 'hold' },
  input: z.strictObject({}),
  output: z.array(hold).readonly().describe('The oldest first.'),
  run: ({ pool }: { readonly pool: Pool }) => readHolds(pool),
  show: (holds) => (holds.length === 0 ? 'no holds\n' : holdTable(holds)),
});

const holdTable = (holds: readonly Hold[]): string => {
  const who = (by: string | null, as: string | null) => printable(by ?? as ?? '-', 32);
  const rows = holds.map((hold) => [
    String(hold.id),
    hold.releasedAt === null
      ? 'in force'
      : `released ${hold.releasedAt.toISOString()} by ${who(hold.releasedBy, hold.releasedAs)}`,
    whoseOf(hold),
    hold.since ?? '-',
    hold.before ?? '-',
    `${hold.createdAt.toISOString()} by ${who(hold.createdBy, hold.createdAs)}`,
    printable(hold.reason, 120),
  ]);
  return table(['ID', 'STATE', 'ORGANIZATION', 'SINCE', 'BEFORE', 'ADDED', 'REASON'], rows);
};

const whoseOf = ({ organizationId, organizationName, accountId, accountName }: Hold): string => {
  if (accountId !== null) return `account ${named(accountId, accountName)}`;
  return organizationId === null ? 'every organization' : named(organizationId, organizationName);
};

const named = (id: string, name: string | null): string =>
  name === null ? printable(id, 64) : `${printable(id, 64)} (${printable(name, 28)})`;
