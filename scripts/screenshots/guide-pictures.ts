import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { startDaemonOver } from '../../test/support/console/console-daemon.ts';
import { newSigner, openBuilder } from '../../test/support/evidence/builder-world.ts';
import { until } from '../../test/support/process/until.ts';
import type { Picture, World } from './picture.ts';

/** The list itself, with what stands right above it. */
const showList = (page: Page): Promise<void> =>
  page.evaluate("document.querySelector('[aria-label=Result]').scrollIntoView()");

/** The event of the first row, beside the list. */
const openFirst = async (page: Page): Promise<void> => {
  await page.locator('[data-row]').first().click();
  await page.locator('aside.side .facts').waitFor();
  await showList(page);
};

const valueIn = async ({ daemon }: World, sql: string): Promise<string> => {
  const { rows } = await daemon.app.database.pool.query<{ value: string }>(sql);
  if (rows[0] === undefined) throw new Error(`no event is as the picture needs it: ${sql}`);
  return rows[0].value;
};

const asked = (line: string): string => `/events?${new URLSearchParams({ q: line })}`;

/** For docs/guide/investigate.md: one for each task, and what the list can show. */
export const guidePictures: readonly Picture[] = [
  {
    name: 'investigate-dns-record',
    path: async (world) =>
      asked(
        `resource:${await valueIn(
          world,
          `select resource_id as value from audit_events where resource_type = 'dns_record' and action_type = 'delete'
           and resource_id is not null and actor_email is not null order by position limit 1`,
        )} action:delete`,
      ),
    height: 620,
    lightOnly: true,
    prepare: openFirst,
  },
  {
    name: 'investigate-token',
    path: async (world) =>
      `/tokens/${encodeURIComponent(
        await valueIn(
          world,
          `select actor_token_name as value from audit_events where actor_token_name is not null
           group by 1 order by count(*) desc, 1 limit 1`,
        ),
      )}`,
    height: 760,
    lightOnly: true,
  },
  { name: 'investigate-new', path: () => '/events/news', height: 620, lightOnly: true },
  {
    name: 'investigate-leaver',
    path: async (world) =>
      asked(
        `actor:${await valueIn(
          world,
          `select actor_email as value from audit_events where actor_email is not null and action_time > now() - interval '30 days'
           group by 1 order by count(*) desc, 1 limit 1`,
        )} since:30d`,
      ),
    height: 560,
    lightOnly: true,
  },
  {
    name: 'investigate-sign-ins',
    path: () => asked('action:login result:failure ip:203.0.113.0/24'),
    height: 560,
    lightOnly: true,
  },
  {
    name: 'investigate-sso',
    path: () => asked('resource_type:identity_provider,sso_connector -action:view'),
    height: 560,
    lightOnly: true,
  },
  {
    name: 'investigate-ray',
    path: async (world) =>
      asked(
        `ray:${await valueIn(
          world,
          `select raw_cf_ray_id as value from audit_events where raw_cf_ray_id is not null and organization_id is not null
           and account_id is null order by position limit 1`,
        )}`,
      ),
    height: 620,
    lightOnly: true,
    prepare: openFirst,
  },
  {
    name: 'investigate-proof',
    path: () => asked('resource_type:dns_record action:delete since:30d'),
    height: 700,
    lightOnly: true,
    prepare: async (page) => {
      await page.getByText('Use result').click();
      // A key first: the ring of the focus is for the keyboard.
      await page.keyboard.press('Shift');
      await page.getByRole('link', { name: 'Evidence bundle' }).focus();
    },
  },
  { name: 'investigate-sink', path: () => '/sinks/siem', height: 1_020, lightOnly: true },
  {
    name: 'investigate-columns',
    path: () => '/events?columns=actor,action,result,address,agent,ray&density=compact&limit=12&q=result:failure',
    height: 460,
    lightOnly: true,
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Live', exact: true }).click();
      await showList(page);
    },
  },
];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Three organizations and their accounts, a signed log, a sink that takes nothing, and sign-ins that failed from one network. */
export const withCaseWorld = async (use: (world: World) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-screenshots-'));
  const simulator = await startSimulator({
    seed: 23,
    budget: null,
    organizations: 3,
    entries: 1_500,
    accounts: 2,
    accountEntries: 2_000,
    historyMs: 40 * DAY_MS,
  });
  const siem = {
    type: 'webhook',
    url: 'http://127.0.0.1:9/orgtrail',
    secret: 'whsec_c2VjcmV0LW9mLXRoZS1zY3JlZW5zaG90cw==',
  };
  const daemon = await startDaemonOver(simulator, {
    ...(process.env['DATABASE_URL'] === undefined
      ? { ORGTRAIL_DATA_DIR: join(directory, 'data') }
      : { DATABASE_URL: process.env['DATABASE_URL'] }),
    ORGTRAIL_HISTORY: '45d',
    ORGTRAIL_SOURCES: 'organizations,accounts',
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_SINKS: JSON.stringify({ siem }),
  });
  try {
    await makeCase({ simulator, daemon });
    await use({ simulator, daemon });
  } finally {
    await daemon.stop();
    await simulator.close();
    await rm(directory, { recursive: true, force: true });
  }
};

const makeCase = async ({ simulator, daemon }: World): Promise<void> => {
  const { pool } = daemon.app.database;
  const [account] = simulator.summary().accounts;
  simulator.append({ kind: 'account', id: account?.id ?? '' }, recentTexts());
  await until('all is stored, and the sink has failed', async () => {
    const expected = [...simulator.truth()].length;
    const { rows } = await pool.query(
      'select (select count(*) from audit_events) >= $1 and exists (select from sinks where failures > 0) as done',
      [expected],
    );
    return rows[0].done;
  });
  await openBuilder(pool, newSigner()).build();
  await pool.query(
    `insert into sink_dead_letters (sink, position, reason)
     select 'siem', position, 'the receiver answered 400: event is larger than 64 kB' from audit_events where position in (17, 204, 311)`,
  );
};

/** What the generated history has not. */
const recentTexts = (): readonly string[] => {
  const people = ['mira.haddad', 'jonas.okafor', 'ines.moreau', 'mira.haddad', 'priya.kowalski', 'mira.haddad'];
  const signIns = people.map((name, n) =>
    JSON.stringify({
      id: `failed-sign-in-${n}`,
      action: {
        type: 'login',
        result: 'failure',
        description: 'Sign-in failed',
        time: new Date(Date.now() - 60_000 - (people.length - n) ** 2 * 5 * HOUR_MS).toISOString(),
      },
      actor: { email: `${name}@example.com`, ip_address: `203.0.113.${60 + n}`, context: 'dash' },
      resource: { product: 'login', type: 'session' },
      raw: {
        user_agent: 'Mozilla/5.0 (X11; Linux x86_64)',
        cf_ray_id: `8f2c0d1e4b7a6c3${n}`,
        method: 'POST',
        status_code: 401,
        uri: '/login',
      },
    }),
  );
  const created = {
    id: 'by-a-new-token',
    action: {
      type: 'create',
      result: 'success',
      description: 'Create DNS Record',
      time: new Date(Date.now() - 60_000).toISOString(),
    },
    actor: {
      id: 'new',
      token_id: 'token-7',
      token_name: 'ci-preview-deploy',
      context: 'api_token',
      ip_address: '198.51.100.200',
    },
    resource: { id: 'record-7', product: 'dns_records', type: 'dns_record' },
  };
  return [...signIns, JSON.stringify(created)];
};
