import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../../postgres/pool.ts';
import type { AccountSummary, Simulator } from '../../simulator/interface.ts';
import type { CliContext } from '../command.ts';

const attacker = { id: '5e1f0c6ab2d94d0e8f7a3b6c9d2e1f40', email: 'mira.petrov@demo-company.example', type: 'user' };
const knownAddress = '203.0.113.20';
const strangeAddress = '192.0.2.66';
const DAY_MS = 86_400_000;
/** On all that the attack leaves in the log. */
const ATTACKED_PERSON = attacker.email;

/** One alarm each. */
export const ATTACK_DETECTIONS = [
  'api_token_changed',
  'api_token_wide_scope',
  'dns_records_deleted',
  'protection_removed',
  'sign_in_from_new_network',
  'sign_in_without_sso',
  'worker_secret_or_route_changed',
] as const;

interface Deed {
  readonly action: readonly [type: string, description: string];
  readonly call: readonly [method: string, uri: string];
  readonly resource: readonly [product: string, type: string, scope: string];
  readonly request?: object;
}

const signIn = (way: 'SSO_LOGIN' | 'LOGIN', uri: string): Deed => ({
  action: ['login', way],
  call: ['POST', uri],
  resource: ['login', 'session', 'user'],
});

/** A stolen password: a sign-in past SSO, a token to come back with, no more protection, and damage. */
const deedsIn = ({ id, zoneIds }: AccountSummary): readonly Deed[] => [
  signIn('LOGIN', '/login'),
  {
    action: ['create', 'Create API Token'],
    call: ['POST', `/accounts/${id}/tokens`],
    resource: ['api_tokens', 'api_token', 'accounts'],
    request: {
      name: 'backup',
      policies: [{ effect: 'allow', resources: { 'com.cloudflare.api.account.zone.*': '*' } }],
    },
  },
  {
    action: ['delete', 'Delete Access Policy'],
    call: ['DELETE', `/accounts/${id}/access/policies/7d1c3e5f9a2b4c6d8e0f1a2b3c4d5e6f`],
    resource: ['access', 'policy', 'accounts'],
  },
  {
    action: ['update', 'Update Worker Secret'],
    call: ['PUT', `/accounts/${id}/workers/scripts/checkout/secrets`],
    resource: ['workers', 'script_secret', 'accounts'],
    request: { name: 'PAYMENT_URL', type: 'secret_text' },
  },
  {
    action: ['create', 'Batch DNS Records'],
    call: ['POST', `/zones/${zoneIds[0] ?? ''}/dns_records/batch`],
    resource: ['dns_records', 'dns_record', 'zone'],
    request: { deletes: [{ id: 'a1' }, { id: 'a2' }, { id: 'a3' }] },
  },
];

const entryText = (account: AccountSummary, timeMs: number, address: string, deed: Deed): string => {
  const [type, description] = deed.action;
  const [method, uri] = deed.call;
  const [product, resourceType, scope] = deed.resource;
  return JSON.stringify({
    id: crypto.randomUUID(),
    account: { id: account.id, name: account.name },
    action: { description, result: 'success', time: new Date(timeMs).toISOString(), type },
    actor: { ...attacker, context: 'dash', ip_address: address },
    raw: { cf_ray_id: '8e9b1f1d0a1c2d3e', method, status_code: 200, uri, user_agent: 'Mozilla/5.0' },
    resource: {
      id: crypto.randomUUID(),
      product,
      request: deed.request ?? {},
      response: {},
      scope,
      type: resourceType,
    },
  });
};

const append = (simulator: Simulator, account: AccountSummary, texts: readonly string[]): void =>
  simulator.append({ kind: 'account', id: account.id }, texts);

/** The last one, with few entries of its own. */
export const attackedAccount = (simulator: Simulator): AccountSummary => {
  const account = simulator.summary().accounts.at(-1);
  if (account === undefined) throw new Error('the simulated Cloudflare has no account');
  return account;
};

/** Two days of sign-ins by SSO from one address. */
export const appendUsualSignIns = (simulator: Simulator, account: AccountSummary, nowMs: number): void => {
  const usual = signIn('SSO_LOGIN', '/login/sso');
  const times = [2, 1].map((days) => nowMs - days * DAY_MS);
  append(
    simulator,
    account,
    times.map((timeMs) => entryText(account, timeMs, knownAddress, usual)),
  );
};

/** Entries a millisecond apart, the last of them now. */
export const appendAttack = (simulator: Simulator, account: AccountSummary, nowMs: number): void => {
  const deeds = deedsIn(account);
  const texts = deeds.map((deed, n) => entryText(account, nowMs - deeds.length + 1 + n, strangeAddress, deed));
  append(simulator, account, texts);
};

const LOOK_EVERY_MS = 2_000;
type Alarm = Readonly<{ detection: string; severity: string; position: number; summary: string }>;

const readAlarms = async (pool: Pool, after: number): Promise<readonly Alarm[]> => {
  const { rows } = await pool.query<Alarm>(
    `select d.detection, d.severity, e.position::float8 as position, d.summary
     from detections d join audit_events e using (source_kind, source_id, id, action_time)
     where d.position > $1 and d.actor = $2 order by e.position, d.detection`,
    [after, ATTACKED_PERSON],
  );
  return rows;
};

const lineOf = ({ severity, detection, summary, position }: Alarm, consoleUrl: string): string =>
  `  ${severity.padEnd(7)} ${detection.padEnd(31)} ${consoleUrl}/events/${position}\n          ${summary}\n`;

const whereToBegin = (consoleUrl: string): string => `
An investigator would begin here:
  what the rules found, by whom          ${consoleUrl}/detections
  all that this person did, what is new  ${consoleUrl}/actors/${encodeURIComponent(ATTACKED_PERSON)}
  all from that address                  ${consoleUrl}/addresses/${strangeAddress}

`;

/** With a link to the event, as soon as it is raised. `after`: the end of the feed before the attack. */
export const showDemoAlarms = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  pool: Pool,
  { after, consoleUrl }: { readonly after: number; readonly consoleUrl: string },
) => {
  const stop = new AbortController();
  const shown = new Set<string>();
  const look = async (): Promise<void> => {
    const alarms = (await readAlarms(pool, after)).filter(({ detection }) => !shown.has(detection));
    if (alarms.length === 0) return;
    const title = shown.size === 0 ? '\nDetections of an attack that is played in one of the accounts:\n' : '';
    for (const { detection } of alarms) shown.add(detection);
    // On a terminal, the line of progress is redrawn below.
    const above = context.interactive ? '\r\u001b[2K' : '';
    const next = shown.size < ATTACK_DETECTIONS.length ? '' : whereToBegin(consoleUrl);
    context.stdout.write(`${above}${title}${alarms.map((alarm) => lineOf(alarm, consoleUrl)).join('')}${next}`);
  };
  const looking = (async () => {
    while (!stop.signal.aborted && shown.size < ATTACK_DETECTIONS.length) {
      // The daemon reports a database that does not answer.
      const beganAt = performance.now();
      await look().catch(() => {});
      // Bursts and sign-ins read a month: most of the machine is for the daemon.
      await sleep(Math.max(LOOK_EVERY_MS, 4 * (performance.now() - beganAt)), undefined, { signal: stop.signal }).catch(
        () => {},
      );
    }
  })();
  return {
    /** Shows what has not been shown. */
    finish: async (): Promise<void> => {
      if (stop.signal.aborted) return await looking;
      stop.abort();
      await looking;
      if (shown.size < ATTACK_DETECTIONS.length) await look();
    },
  };
};
