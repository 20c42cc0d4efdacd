import type { Browser } from 'playwright-core';
import { newSigner, openBuilder } from '../evidence/builder-world.ts';
import { until } from '../process/until.ts';
import { makeSearchEntries } from '../search/search-entries.ts';
import { type ConsoleFixture, openConsole } from './console-fixture.ts';

/** The console over a simulated Cloudflare with accounts, a history of forty days, a signed log, and a sink that takes nothing. */
export const openCaseConsole = async (browser: Browser): Promise<ConsoleFixture> => {
  const console = await openConsole(browser, {
    simulator: {
      seed: 23,
      organizations: 3,
      entries: 500,
      accounts: 2,
      accountEntries: 900,
      historyMs: 40 * 86_400_000,
    },
    roles: ['orgtrail_ingest', 'orgtrail_evidence'],
    env: {
      ORGTRAIL_HISTORY: '45d',
      ORGTRAIL_SOURCES: 'organizations,accounts',
      ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
      ORGTRAIL_SINKS: JSON.stringify({
        siem: {
          type: 'webhook',
          url: 'http://127.0.0.1:9/orgtrail',
          secret: 'whsec_c2VjcmV0LW9mLXRoZS1jYXNlLXdvcmxkLXRlc3RzISE=',
        },
      }),
    },
  });
  const { pool } = console.database;
  const [account] = console.simulator.summary().accounts;
  console.simulator.append({ kind: 'account', id: account?.id ?? '' }, recentTexts());
  await console.untilStored();
  await openBuilder(pool, newSigner()).build();
  await until('the sink has failed', async () => {
    const { rows } = await pool.query('select 1 from sinks where failures > 0');
    return rows.length > 0;
  });
  return console;
};

/** What the generated history has not: sign-ins that failed, from one network, and a token that was never seen before. */
const recentTexts = (): readonly string[] => {
  const time = new Date(Date.now() - 20_000).toISOString();
  const signIn = (n: number): string =>
    JSON.stringify({
      id: `failed-sign-in-${n}`,
      action: { type: 'login', result: 'failure', description: 'Sign-in failed', time },
      actor: { email: `user${n}@example.com`, ip_address: `203.0.113.${60 + n}`, context: 'dash' },
      resource: { product: 'login', type: 'session' },
    });
  const token = { id: 'new-token', token_id: 'token-of-the-case', token_name: 'ci-of-the-case', context: 'api_token' };
  const created = {
    id: 'by-a-new-token',
    action: { type: 'create', result: 'success', description: 'Create DNS Record', time },
    actor: { ...token, ip_address: '198.51.100.200' },
    resource: { id: 'record-of-the-case', product: 'dns_records', type: 'dns_record' },
  };
  return [...[1, 2, 3, 4, 5].map(signIn), JSON.stringify(created), makeSearchEntries().hostileText];
};

/** What the store says about a case: the first row of a query. */
export const factsOf = async (console: ConsoleFixture, sql: string): Promise<Readonly<Record<string, string>>> => {
  const { rows } = await console.database.pool.query(sql);
  if (rows[0] === undefined) throw new Error(`no event is as the task needs it: ${sql}`);
  return rows[0];
};
