import { once } from 'node:events';
import { Command } from 'commander';
import { OrgtrailError } from '../../base/errors.ts';
import { type AcceptedCredential, defaultBudget } from '../../simulator/api/credentials.ts';
import { defectNames } from '../../simulator/entries/entry-defects.ts';
import { type FaultName, faultCatalogue, faultNames, parametersOf } from '../../simulator/faults/fault-catalogue.ts';
import { parseFaultList } from '../../simulator/faults/fault-list.ts';
import type { Simulator } from '../../simulator/interface.ts';
import type { SimulatorOptions } from '../../simulator/options.ts';
import type { CliContext } from '../command.ts';

type Counts = 'organizations' | 'entries' | 'accounts' | 'standaloneAccounts' | 'zones' | 'seed' | 'liveRate';
type Flags = Readonly<
  Record<Counts | 'host' | 'port' | 'history' | 'faults' | 'budget' | 'block', string> &
    Partial<Record<'pageCap' | 'accountEntries' | 'token' | 'key', string>> &
    Partial<Record<'keysOnly' | 'uniform', true>>
> & { readonly accountToken?: readonly string[] };

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const usage = (message: string, hint: string): OrgtrailError => new OrgtrailError('usage', message, { hint });

function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw usage(`${flag} is "${text}".`, `Give an integer between ${least} and ${most}.`);
}

function durationMs(flag: string, text: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = unitMs[unit];
  if (amount !== undefined && factor !== undefined) return Number(amount) * factor;
  throw usage(`${flag} is "${text}".`, 'Give a duration such as 500ms, 30s, 10m, 24h or 90d.');
}

function rate(flag: string, text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw usage(`${flag} is "${text}".`, 'Give entries per second: 0, 5 or 0.2.');
}

function faultsOf(text: string): NonNullable<SimulatorOptions['faults']> {
  try {
    return parseFaultList(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw usage(
      `--faults: ${error.message}.`,
      'Give all, none, names with commas between (name=0.2 sets a probability), or a JSON object.',
    );
  }
}

function budgetOf(flags: Flags): SimulatorOptions['budget'] {
  if (flags.budget === 'off') return null;
  const requests = wholeNumber('--budget', flags.budget, 1, 1_000_000_000);
  return { ...defaultBudget, requests, blockMs: durationMs('--block', flags.block) };
}

function accountsOf(flags: Flags): Partial<SimulatorOptions> {
  const { accountEntries } = flags;
  return {
    accounts: wholeNumber('--accounts', flags.accounts, 0, 10_000),
    standaloneAccounts: wholeNumber('--standalone-accounts', flags.standaloneAccounts, 0, 100_000),
    zones: wholeNumber('--zones', flags.zones, 0, 1_000),
    ...(accountEntries === undefined
      ? {}
      : { accountEntries: wholeNumber('--account-entries', accountEntries, 0, 50_000_000) }),
  };
}

function credentialsOf({ token, accountToken = [], key }: Flags): Partial<SimulatorOptions> {
  const credentials = [
    ...(token === undefined ? [] : [userToken(token)]),
    ...accountToken.map(ownedToken),
    ...(key === undefined ? [] : [userKey(key)]),
  ];
  return credentials.length === 0 ? {} : { credentials };
}

// No token has a colon: its user stands before one.
function userToken(text: string): AcceptedCredential {
  const [, user, token] = /^([^:@\s]+@[^:\s]+):(.+)$/.exec(text) ?? [];
  return user === undefined || token === undefined ? { token: text } : { token, user };
}

function ownedToken(text: string): AcceptedCredential {
  const [, token = text, account = '0'] = /^([^=]+)=([0-9a-f-]+)$/.exec(text) ?? [];
  return { token, account: /^\d{1,6}$/.test(account) ? Number(account) : account };
}

function userKey(text: string): AcceptedCredential {
  const [, email, key] = /^([^:@\s]+@[^:\s]+):(\S+)$/.exec(text) ?? [];
  if (email !== undefined && key !== undefined) return { email, key };
  throw usage(`--key is "${text}".`, 'Give an e-mail address and the key: alice@example.com:KEY.');
}

function simulatorOptions(flags: Flags): SimulatorOptions {
  const organizations = wholeNumber('--organizations', flags.organizations, 1, 100_000);
  return {
    host: flags.host,
    port: wholeNumber('--port', flags.port, 0, 65_535),
    organizations,
    entries: wholeNumber('--entries', flags.entries, 0, 50_000_000),
    historyMs: durationMs('--history', flags.history),
    seed: wholeNumber('--seed', flags.seed, 0, 4_294_967_295),
    liveRate: rate('--live-rate', flags.liveRate),
    faults: faultsOf(flags.faults),
    budget: budgetOf(flags) ?? null,
    ...(flags.pageCap === undefined ? {} : { pageCap: wholeNumber('--page-cap', flags.pageCap, 1, 1000) }),
    ...accountsOf(flags),
    ...credentialsOf(flags),
    ...(flags.keysOnly === undefined ? {} : { keysOnly: true }),
    ...(flags.uniform === undefined ? {} : { distribution: 'uniform' as const }),
  };
}

function bareToken({ token }: Flags): string {
  if (token === undefined) return 'simulated-token';
  const credential = userToken(token);
  return 'token' in credential ? credential.token : token;
}

async function start(flags: Flags): Promise<Simulator> {
  const options = simulatorOptions(flags);
  // Only here and in the demo: other processes do not have it in memory.
  const { startSimulator } = await import('../../simulator/simulator.ts');
  try {
    return await startSimulator(options);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw error;
    throw usage(
      `Cannot listen on ${flags.host} port ${flags.port} (${code}).`,
      'Give another --port, or 0 for any free one.',
    );
  }
}

function faultLines(name: FaultName): string[] {
  const { summary, probability, inAll } = faultCatalogue[name];
  const line = `  ${name.padEnd(26)} ${String(probability).padEnd(6)} ${inAll ? '' : '[not in all] '}${summary}`;
  const parameters = Object.entries(parametersOf(name)).map(([key, { standard }]) =>
    standard === undefined ? key : `${key}: ${standard}`,
  );
  return parameters.length === 0 ? [line] : [line, `${' '.repeat(36)}${parameters.join(', ')}`];
}

function faultHelp(): string {
  const lines = faultNames.flatMap(faultLines);
  return [
    '',
    'Faults (name, probability when it is only named, what happens, and what can be set in JSON):',
    ...lines,
    `  ${'defects'.padEnd(26)} 0.01   one of these in an entry, in turn:`,
    `  ${defectNames.join(', ')}`,
    '',
    'Examples:',
    '  orgtrail simulate                                     25 organizations with 3 accounts each, no faults',
    '  orgtrail simulate --faults all --live-rate 5          what a good client must live with',
    '  orgtrail simulate --faults server_error=0.2,no_id     two of them, the first one often',
    '  orgtrail simulate --entries 1000000 --budget off      speed',
    '  orgtrail simulate --token T --account-token cfat_A=3  a user, and a token of the fourth account',
    `  orgtrail simulate --faults '{"preset":"all","page_cap":{"size":73,"cursors":"none"},"wrong_date":{"forSeconds":12}}'`,
    '',
    'While it runs, GET /__simulator/truth lists every entry there is, POST /__simulator/faults changes the faults, and',
    'POST /__simulator/entries adds entries, late ones among them (docs/simulator.md).',
  ].join('\n');
}

/** Runs until the context's signal aborts. Throws OrgtrailError `usage` for a bad value or an unavailable port. */
export const simulateCommand = (context: CliContext): Command =>
  new Command('simulate')
    .description('Run a simulated Cloudflare: organizations, accounts, audit logs, rate limits, and faults on demand')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on; 0: any free one', '8787')
    .option('--organizations <number>', 'how many organizations', '25')
    .option('--entries <number>', 'how many audit entries, in all organizations together', '10000')
    .option('--accounts <number>', 'how many accounts in each organization', '3')
    .option('--standalone-accounts <number>', 'how many accounts in no organization', '0')
    .option('--zones <number>', 'how many zones in each account', '2')
    .option('--account-entries <number>', 'how many audit entries, in all accounts together (default: as --entries)')
    .option('--history <duration>', 'how far the entries reach back', '90d')
    .option('--seed <number>', 'seed of the data and the faults, for reproducible runs', '1')
    .option('--live-rate <number>', 'entries appended per second while it runs', '0')
    .option('--faults <list>', 'all, none, names with commas between, or a JSON object (see below)', 'none')
    .option(
      '--budget <requests>',
      'requests per five minutes and user (or token of an account), or off',
      String(defaultBudget.requests),
    )
    .option('--block <duration>', 'how long a user over the budget is blocked', '5m')
    .option('--page-cap <number>', 'maximum entries per page, regardless of the requested limit')
    .option('--token <token>', "accept only this API token (default: any); alice@example.com:TOKEN is Alice's")
    .option('--account-token <token=account...>', 'accept this token of an account, by place (0: the first) or id')
    .option('--key <email:key>', 'accept this e-mail address with this Global API key')
    .option('--keys-only', 'refuse tokens where OpenAPI names keys only: an organization, its profile and accounts')
    .option('--uniform', 'distribute entries evenly (default: a few large organizations)')
    .addHelpText('after', faultHelp)
    .action(async (flags: Flags) => {
      const simulator = await start(flags);
      const { organizations, accounts, entries } = simulator.summary();
      context.stdout.write(
        `Simulated Cloudflare with ${organizations.length} organizations, ${accounts.length} accounts and ${entries} audit entries at ${simulator.baseUrl}\n` +
          `Truth, faults, requests: ${simulator.controlUrl}\n\nPoint orgtrail at it:\n` +
          `CLOUDFLARE_BASE_URL=${simulator.baseUrl}\nCLOUDFLARE_API_TOKEN=${bareToken(flags)}\n`,
      );
      if (!context.signal.aborted) await once(context.signal, 'abort');
      const { requestCount } = simulator;
      await simulator.close();
      context.stdout.write(`\nStopped after ${requestCount} requests.\n`);
    });
