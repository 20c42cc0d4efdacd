import { Command } from 'commander';
import { listHolds } from '../../archive/hold-operations.ts';
import { addHold, type Hold, type NewHold, releaseHold } from '../../archive/holds.sql.ts';
import { confirmRetention, readDroppedMonths } from '../../archive/retention.sql.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { parseDateOrInstantMs } from '../../base/time.ts';
import type { Pool } from '../../postgres/pool.ts';
import { asOwner } from '../../postgres/sql-state.ts';
import { type CliContext, type Given, print, recordCommand, withDatabase } from '../command.ts';
import { operationCommand } from '../operation-command.ts';
import { accountIds, organizationIds, readTime, timeHelp } from '../options.ts';

/** Limits of RFC 3339. */
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00Z');
const LATEST_MS = Date.parse('9999-12-31T23:59:59Z');

const help = `
While a hold is in force, ORGTRAIL_RETENTION drops no month with events that the hold covers. Released holds stay in the
table holds, with the name and the time of their release: they are evidence, too. Needs an account that may write to it: the owner of the schema.

Examples:
  $ orgtrail hold add --organization 'Acme Aerospace' --reason 'case 2026-17' --by 'J. Doe, Legal'
  $ orgtrail hold list
  $ orgtrail hold release 3 --by 'J. Doe, Legal'`;

const addHelp = `
Without --since and --before it covers all events of the organization, those of its accounts and future ones included; with --account
those of the account alone. Months that were dropped before
are not restored; the output names them.

Examples:
  $ orgtrail hold add --organization 'Acme Aerospace' --reason 'case 2026-17'
  $ orgtrail hold add --organization 019c4f65e7607d8c9f6f6b58aa3aff50 --since 2025-03-01 --before 2025-06-01 --reason 'case 2026-17'
  $ orgtrail hold add --all-organizations --since 2025-03-01 --reason 'notice of the regulator' --json`;

export const holdCommand = (context: CliContext): Command =>
  new Command('hold')
    .description('Manage legal holds: events exempt from retention')
    .addHelpText('after', help)
    .addCommand(addCommand(context))
    .addCommand(operationCommand(listHolds, context))
    .addCommand(releaseCommand(context))
    .addCommand(confirmCommand(context));

type Texts = 'organization' | 'account' | 'since' | 'before' | 'by';
type AddOptions = Given<Texts, 'allOrganizations' | 'json'> & { readonly reason: string };

const addCommand = (context: CliContext): Command =>
  new Command('add')
    .description('Exempt the events of an organization or an account from retention')
    .option('--organization <name or id>', 'organization to hold, with its accounts')
    .option('--account <name or id>', 'account to hold')
    .option('--all-organizations', 'hold the events of every organization and account')
    .option('--since <time>', `only from this time on: ${timeHelp('inclusive')}`)
    .option('--before <time>', `only before this time: ${timeHelp('exclusive')}`)
    .requiredOption('--reason <text>', 'reason, for the record')
    .option('--by <name>', 'requester, for the record (the database user is always recorded)')
    .option('--json', 'print the hold as JSON')
    .addHelpText('after', addHelp)
    .action(async (options: AddOptions) => {
      const wanted = readHold(options);
      const { hold, dropped } = await withDatabase(context, async (pool) => {
        const { organization, account } = wanted;
        const [wantedId] = organization === undefined ? [] : await organizationIds(pool, [organization]);
        const [wantedAccount] = account === undefined ? [] : await accountIds(pool, [account]);
        const hold = { ...wanted, organizationId: wantedId, accountId: wantedAccount };
        const added = await asOwner('add a hold', addHold(pool, hold));
        const { id, organizationId, accountId, since, before, reason } = added;
        const what = { id, organizationId, ...(accountId !== null && { accountId }), since, before, reason };
        await recordCommand(pool, context, { kind: 'hold', command: 'hold add', by: wanted.by, what });
        return { hold: added, dropped: await droppedWithin(pool, added) };
      });
      const text = `hold ${hold.id} is in force: ${describeScope(hold)}\n${describeDropped(dropped)}`;
      print(context, options, { ...hold, dropped }, text);
    });

type WantedHold = Omit<NewHold, 'organizationId' | 'accountId'> & Pick<AddOptions, 'organization' | 'account'>;

const readHold = (options: AddOptions): WantedHold => {
  const { organization, account, since, before } = options;
  const scopes = [organization, account, options.allOrganizations === true ? true : undefined];
  if (scopes.filter((scope) => scope !== undefined).length !== 1) {
    throw new OrgtrailError('usage', 'specify one of --organization, --account and --all-organizations');
  }
  const nowMs = Date.now();
  const sinceMs = since === undefined ? undefined : readTime('--since', since, nowMs);
  const beforeMs = before === undefined ? undefined : readTime('--before', before, nowMs);
  if ((sinceMs ?? EARLIEST_MS) >= (beforeMs ?? LATEST_MS)) {
    throw new OrgtrailError('usage', '--before must be later than --since');
  }
  const reason = options.reason.trim();
  if (reason === '') throw new OrgtrailError('usage', '--reason must not be empty');
  const named = { ...(organization !== undefined && { organization }), ...(account !== undefined && { account }) };
  return { ...named, sinceMs, beforeMs, reason, by: options.by };
};

const droppedWithin = async (pool: Pool, { since, before }: Hold): Promise<readonly string[]> => {
  const fromMs = (since === null ? undefined : parseDateOrInstantMs(since)) ?? EARLIEST_MS;
  const toMs = (before === null ? undefined : parseDateOrInstantMs(before)) ?? LATEST_MS;
  return [...new Set((await readDroppedMonths(pool, { fromMs, toMs })).map(({ month }) => month))];
};

const describeScope = (hold: Hold): string => {
  const { organizationId, organizationName, accountId, accountName, since, before } = hold;
  const events = (id: string, name: string | null, kind = ''): string =>
    `events of ${kind}${printable(name ?? id, 64)} (${printable(id, 64)})`;
  const ofOrganization =
    organizationId === null ? 'all events of every organization' : events(organizationId, organizationName);
  const whose = accountId === null ? ofOrganization : events(accountId, accountName, 'the account ');
  return `${whose}${since === null ? '' : `, since ${since}`}${before === null ? '' : `, before ${before}`}`;
};

const describeDropped = (months: readonly string[]): string =>
  months.length === 0 ? '' : `already dropped, and not held: ${months.join(', ')} (table retention_drops)\n`;

const releaseCommand = (context: CliContext): Command =>
  new Command('release')
    .description('End a hold; it stays in the list')
    .argument('<id>', 'number of the hold (see: orgtrail hold list)')
    .option('--by <name>', 'who releases it, for the record (the database user is always recorded)')
    .option('--json', 'print the hold as JSON')
    .action(async (number: string, options: { by?: string; json?: boolean }) => {
      if (!/^\d{1,15}$/.test(number))
        throw new OrgtrailError('usage', `ID must be the number of a hold, not ${JSON.stringify(number)}`);
      const hold = await withDatabase(context, async (pool) => {
        const released = await asOwner('release a hold', releaseHold(pool, Number(number), options.by));
        if (released !== undefined) {
          const what = { id: released.id };
          await recordCommand(pool, context, { kind: 'hold', command: 'hold release', by: options.by, what });
        }
        return released;
      });
      if (hold === undefined) {
        throw new OrgtrailError('usage', `no hold ${number} is in force`, { hint: '`orgtrail hold list` shows all' });
      }
      const text = `hold ${hold.id} is released: the retention applies to ${describeScope(hold)} again\n`;
      print(context, options, hold, text);
    });

const confirmHelp = `
Behind a failover or a restore, ORGTRAIL_RETENTION drops nothing for a day: a hold may be lost. Compare \`orgtrail hold list\` with
your records, add what is missing, then confirm. Evidence, if there is some, must also be compared on this server: a process that has its key does that.

Example:
  $ orgtrail hold confirm --by 'J. Doe, Legal'`;

const confirmCommand = (context: CliContext): Command =>
  new Command('confirm')
    .description('Confirm that all holds are there, so that retention goes on behind a failover or a restore')
    .option('--by <name>', 'who confirms, for the record (the database user is always recorded)')
    .addHelpText('after', confirmHelp)
    .action(async ({ by }: { by?: string }) => {
      const reasons = await withDatabase(context, async (pool) => {
        const ended = await asOwner('confirm the holds', confirmRetention(pool, by));
        if (ended.length > 0) {
          await recordCommand(pool, context, { kind: 'hold', command: 'hold confirm', by, what: { reasons: ended } });
        }
        return ended;
      });
      if (reasons.length === 0)
        throw new OrgtrailError('usage', 'retention does not wait: there is nothing to confirm');
      context.stdout.write(`retention goes on; it waited: ${reasons.join('; ')}\n`);
    });
