import { z } from 'zod';
import { OrgtrailError } from '../base/errors.ts';
import { EARLIEST_MS, flag, instant, LATEST_MS, operation, text, time } from '../base/operation.ts';
import { printable, table } from '../base/text.ts';
import { parseTimeMs } from '../base/time.ts';
import { isEmpty } from '../ingest/planning/coverage.ts';
import type { OperationSource } from '../postgres/access/access-log.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { readNamedAccounts, readNamedOrganizations } from '../search/names/names.sql.ts';
import { oneNamed } from '../search/names/names.ts';
import { addHold, type Hold, readHolds, releaseHold } from './holds.sql.ts';
import { confirmRetention, readDroppedMonths } from './retention.sql.ts';

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

const added = `
Without since and before it covers all events of the organization, those of its accounts and future ones included; with an account
those of the account alone. Months that were dropped before are not restored; the output names them.

Examples:
  $ orgtrail hold add --organization 'Acme Aerospace' --reason 'case 2026-17'
  $ orgtrail hold add --organization 019c4f65e7607d8c9f6f6b58aa3aff50 --since 2025-03-01 --before 2025-06-01 --reason 'case 2026-17'
  $ orgtrail hold add --all-organizations --since 2025-03-01 --reason 'notice of the regulator' --json`;

const by = (what: string) => text(`who ${what}, for the record`, 200);

export const orderHold = operation({
  name: 'hold add',
  says: 'Exempt the events of an organization or an account from retention',
  path: '/v1/holds',
  tool: 'add_hold',
  needs: { scope: 'manage' },
  help: added,
  input: z
    .strictObject({
      organization: text('organization to hold, with its accounts'),
      account: text('account to hold'),
      all_organizations: flag('hold the events of every organization and account'),
      since: time('only from this time on, inclusive'),
      before: time('only before this time, exclusive'),
      reason: z
        .string('must be given once')
        .trim()
        .min(1, 'must not be empty')
        .max(2_000, 'must have at most 2000 characters')
        .describe('reason, for the record'),
      by: by('asks for it'),
    })
    .refine((given) => scopesOf(given) === 1, {
      path: ['organization'],
      message: 'or an account or all organizations must be given, one of them',
    })
    .refine((given) => !isEmpty(windowOf(given)), {
      path: ['before'],
      message: 'must be later than since',
    }),
  output: hold.extend({
    dropped: z.array(z.string()).readonly().describe('Months that retention had dropped before.'),
  }),
  values: {
    organization: 'name or id',
    account: 'name or id',
    since: 'time',
    before: 'time',
    reason: 'text',
    by: 'name',
  },
  run: async (source: OperationSource, { organization, account, reason, by, ...times }) => {
    const { pool } = source;
    const range = windowOf(times);
    const made = await addHold(source, {
      organizationId: organization && oneNamed(organization, await readNamedOrganizations(pool)),
      accountId: account && oneNamed(account, await readNamedAccounts(pool), 'account'),
      sinceMs: times.since === undefined ? undefined : range.fromMs,
      beforeMs: times.before === undefined ? undefined : range.toMs,
      reason,
      by,
    });
    return { ...made, dropped: [...new Set((await readDroppedMonths(pool, range)).map(({ month }) => month))] };
  },
  show: ({ dropped, ...held }) => {
    const gone = `already dropped, and not held: ${dropped.join(', ')} (table retention_drops)\n`;
    return `hold ${held.id} is in force: ${describeScope(held)}\n${dropped.length === 0 ? '' : gone}`;
  },
});

type Given = Readonly<Partial<Record<'organization' | 'account' | 'since' | 'before', string | undefined>>>;

const scopesOf = ({ organization, account, ...more }: Given & { readonly all_organizations?: boolean | undefined }) =>
  [organization !== undefined, account !== undefined, more.all_organizations === true].filter(Boolean).length;

const windowOf = ({ since, before }: Given) => {
  const nowMs = Date.now();
  const msOf = (given: string | undefined) => (given === undefined ? undefined : parseTimeMs(given, nowMs));
  return { fromMs: msOf(since) ?? EARLIEST_MS, toMs: msOf(before) ?? LATEST_MS };
};

export const endHold = operation({
  name: 'hold release',
  says: 'End a hold; it stays in the list',
  path: '/v1/holds/:id/release',
  tool: 'release_hold',
  needs: { scope: 'manage' },
  input: z.strictObject({
    id: z
      .int('must be the number of a hold')
      .min(1, 'must be the number of a hold')
      .describe('number of the hold (see: orgtrail hold list)'),
    by: by('releases it'),
  }),
  output: hold,
  values: { by: 'name' },
  run: async (source: OperationSource, { id, by }) => {
    const released = await releaseHold(source, id, by);
    if (released !== undefined) return released;
    throw new OrgtrailError('usage', `no hold ${id} is in force`, { hint: '`orgtrail hold list` shows all' });
  },
  show: (held) => `hold ${held.id} is released: the retention applies to ${describeScope(held)} again\n`,
});

export const confirmHolds = operation({
  name: 'hold confirm',
  says: 'Confirm that all holds are there, so that retention goes on behind a failover or a restore',
  path: '/v1/holds/confirm',
  tool: 'confirm_holds',
  needs: { scope: 'manage' },
  help: `
Behind a failover or a restore, ORGTRAIL_RETENTION drops nothing for a day: a hold may be lost. Compare \`orgtrail hold list\` with
your records, add what is missing, then confirm. Evidence, if there is some, must also be compared on this server: a process that has its key does that.

Example:
  $ orgtrail hold confirm --by 'J. Doe, Legal'`,
  input: z.strictObject({ by: by('confirms') }),
  output: z.object({ reasons: z.array(z.string()).readonly().describe('Why retention waited.') }),
  values: { by: 'name' },
  run: async (source: OperationSource, { by }) => {
    const reasons = await confirmRetention(source, by);
    if (reasons.length > 0) return { reasons };
    throw new OrgtrailError('usage', 'retention does not wait: there is nothing to confirm');
  },
  show: ({ reasons }) => `retention goes on; it waited: ${reasons.join('; ')}\n`,
});

const describeScope = (held: Hold): string => {
  const { organizationId, organizationName, accountId, accountName, since, before } = held;
  const events = (id: string, name: string | null, kind = ''): string =>
    `events of ${kind}${printable(name ?? id, 64)} (${printable(id, 64)})`;
  const ofOrganization =
    organizationId === null ? 'all events of every organization' : events(organizationId, organizationName);
  const whose = accountId === null ? ofOrganization : events(accountId, accountName, 'the account ');
  return `${whose}${since === null ? '' : `, since ${since}`}${before === null ? '' : `, before ${before}`}`;
};

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

export const holdGroup = {
  name: 'hold',
  says: 'Manage legal holds: events exempt from retention',
  help: `
While a hold is in force, ORGTRAIL_RETENTION drops no month with events that the hold covers. Released holds stay in the
table holds, with the name and the time of their release: they are evidence, too. To change them, use the account that owns the schema,
or ask a daemon (--url) with a token that has the scope manage.

Examples:
  $ orgtrail hold add --organization 'Acme Aerospace' --reason 'case 2026-17' --by 'J. Doe, Legal'
  $ orgtrail hold list
  $ orgtrail hold release 3 --by 'J. Doe, Legal'`,
};
