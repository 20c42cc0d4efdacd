import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { Daemon } from '../../src/app/start-daemon.ts';
import { addHold, releaseHold } from '../../src/archive/holds.sql.ts';
import type { Pool } from '../../src/postgres/pool.ts';
import { savedSearchesIn } from '../../src/search/saved-searches.sql.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { startDaemonOver } from '../../test/support/console/console-daemon.ts';
import { until } from '../../test/support/process/until.ts';
import type { Picture, World } from './picture.ts';

const organizationId = (world: World, index: number): string =>
  world.simulator.summary().organizations[index]?.id ?? '';

/** An entry that Cloudflare sent again with other content, on its own page. */
const openChanged = async (page: Page, world: World): Promise<void> => {
  const { pool } = world.daemon.app.database;
  const changed = async (): Promise<boolean> => {
    const { rows } = await pool.query('select count(*)::integer as changes from audit_event_changes');
    return rows[0].changes > 0;
  };
  if (!(await changed())) {
    world.simulator.faults.set({ changed_content: { count: 1, organizationId: organizationId(world, 0) } });
    await until('an entry has changed', async () => {
      // What counts as unread is read again.
      await pool.query(
        "update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '3 days', now() - interval '2 days')) where source_id = $1",
        [organizationId(world, 0)],
      );
      return await changed();
    });
  }
  const { rows } = await pool.query('select position::integer from audit_event_changes order by id limit 1');
  await page.goto(`${world.daemon.httpUrl}/events/${rows[0].position}`);
};

/** Reloads the page with what was added, once for all colours. */
const addedOnce = async (page: Page, { daemon }: World, table: string, add: (pool: Pool) => Promise<unknown>) => {
  const { pool } = daemon.app.database;
  const { rows } = await pool.query<{ count: number }>(`select count(*)::integer as count from ${table}`);
  if (rows[0]?.count === 0) await add(pool);
  await page.reload();
};

const saveSome = (page: Page, world: World): Promise<void> =>
  addedOnce(page, world, 'saved_searches', async (pool) => {
    for (const [name, search, by] of [
      ['Failures of the last day', 'since=24h&result=failure', 'noor.haddad'],
      ['DNS records deleted', 'since=30d&action=delete&resource_type=dns_record', 'jonas.okafor'],
      ['Tokens, without Terraform', 'q=resource_type%3Aapi_token%20-token%3Aterraform*', 'noor.haddad'],
    ] as const) {
      await savedSearchesIn(pool).save({ name, search, by });
    }
  });

const addHolds = (page: Page, world: World): Promise<void> =>
  addedOnce(page, world, 'holds', async (pool) => {
    const hold = { organizationId: undefined, sinceMs: undefined, beforeMs: undefined, by: 'noor.haddad' };
    await addHold({ pool }, { ...hold, organizationId: organizationId(world, 0), reason: 'Case 2026-114, sign-ins' });
    await addHold({ pool }, { ...hold, sinceMs: Date.now() - 40 * 24 * HOUR_MS, reason: 'Notice of the regulator' });
    const { id } = await addHold(
      { pool },
      { ...hold, organizationId: organizationId(world, 1), reason: 'Case 2025-031' },
    );
    await releaseHold({ pool }, id, 'jonas.okafor');
  });

/** For docs/console.md, README.md and the guides. */
export const consolePictures: readonly Picture[] = [
  { name: 'overview', path: () => '/', height: 1_180 },
  { name: 'organization', path: (world) => `/organizations/${organizationId(world, 2)}` },
  { name: 'explorer', path: () => '/events?since=30d&q=-result:success', height: 1_560 },
  { name: 'detections', path: () => '/detections?since=30d', height: 1_000 },
  { name: 'saved-searches', path: () => '/searches', height: 460, prepare: saveSome },
  { name: 'holds', path: () => '/holds', height: 560, prepare: addHolds },
  { name: 'detail', path: () => '/events?changed=true', height: 1_340, prepare: openChanged },
];

const HOUR_MS = 3_600_000;
const ENTRIES = 24_000;

const untilRead = (daemon: Daemon): Promise<void> =>
  until('the history is stored', async () => {
    const { rows } = await daemon.app.database.pool.query(
      'select (select count(*) from audit_events) >= $1 and not exists (select from sync_status where gap_seconds > 60) as done',
      [ENTRIES],
    );
    return rows[0].done;
  });

/** One organization is refused, one fails, and two have gaps that are not filled at this moment. */
const makeTrouble = async ({ simulator, daemon }: World): Promise<void> => {
  const { pool } = daemon.app.database;
  const ids = simulator.summary().organizations.map(({ id }) => id);
  simulator.setRefused(ids[5] ?? '', true);
  simulator.faults.set({ html_ok: { organizationId: ids[2] ?? '' } });
  await until('one is refused, one fails', async () => {
    const { rows } = await pool.query(
      'select count(distinct source_id)::integer as troubled from lanes where failures > 1',
    );
    return rows[0].troubled >= 2;
  });
  // Held by another replica, which does nothing.
  await pool.query(
    `update sources set lease_owner = 'elsewhere', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '1 hour'
     where id = any($1)`,
    [[ids[2], ids[8]]],
  );
  const hole = (id: string | undefined, fromMs: number, toMs: number) =>
    pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - make_interval(secs => $2), now() - make_interval(secs => $3)))
       where source_id = $1`,
      [id, fromMs / 1_000, toMs / 1_000],
    );
  await hole(ids[2], 31 * 24 * HOUR_MS, 26 * 24 * HOUR_MS);
  await hole(ids[2], 9 * HOUR_MS, 7.5 * HOUR_MS);
  await hole(ids[2], 2 * HOUR_MS, 0);
  await hole(ids[8], 12 * 24 * HOUR_MS, 3 * 24 * HOUR_MS);
};

/** Many organizations, some in trouble. */
export const withConsoleWorld = async (use: (world: World) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-screenshots-'));
  const history = { seed: 5, organizations: 24, entries: ENTRIES, historyMs: 55 * 24 * HOUR_MS };
  const simulator = await startSimulator({ ...history, budget: null, liveRate: 1 });
  try {
    const env = environmentIn(directory);
    // Two daemons, so that the figures of the second one are about new events, not about history.
    const first = await startDaemonOver(simulator, { ...env, ORGTRAIL_API_BUDGET: '1000000' });
    await untilRead(first);
    await first.stop();
    const daemon = await startDaemonOver(simulator, env);
    try {
      await makeTrouble({ simulator, daemon });
      await use({ simulator, daemon });
    } finally {
      await daemon.stop();
    }
  } finally {
    await simulator.close();
    await rm(directory, { recursive: true, force: true });
  }
};

const environmentIn = (directory: string) => {
  const siem = {
    type: 'webhook',
    url: 'http://127.0.0.1:9/orgtrail',
    secret: 'whsec_c2VjcmV0LW9mLXRoZS1zY3JlZW5zaG90cw==',
  };
  return {
    ...(process.env['DATABASE_URL'] === undefined
      ? { ORGTRAIL_DATA_DIR: join(directory, 'data') }
      : { DATABASE_URL: process.env['DATABASE_URL'] }),
    ORGTRAIL_HISTORY: '60d',
    ORGTRAIL_API_BUDGET: '1200',
    ORGTRAIL_SINKS: JSON.stringify({ siem }),
  };
};
