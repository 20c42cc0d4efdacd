/**
 * The pictures of the console in the documentation: `npm run lab screenshots`. Starts a simulated Cloudflare and the real
 * daemon on the embedded PostgreSQL, lets some things go wrong, and writes docs/images/NAME-{light,dark}.png.
 * Names in the command line make those pages only.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { Daemon } from '../../src/app/start-daemon.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import type { Simulator } from '../../src/simulator/simulator-interface.ts';
import { launchChromium } from '../support/console/chromium.ts';
import { startDaemonOver } from '../support/console/console-daemon.ts';
import { until } from '../support/process/until.ts';

interface World {
  readonly simulator: Simulator;
  readonly daemon: Daemon;
}

interface Picture {
  readonly name: string;
  readonly path: (world: World) => string;
  /** Of the picture, in pixels; 800 without it. */
  readonly height?: number;
  /** Of the guides, which show no dark ones. */
  readonly lightOnly?: boolean;
  /** What to do on the page before the picture is taken. */
  readonly prepare?: (page: Page, world: World) => Promise<void>;
}

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

const pictures: readonly Picture[] = [
  { name: 'overview', path: () => '/' },
  { name: 'organization', path: (world) => `/organizations/${organizationId(world, 2)}` },
  { name: 'explorer', path: () => '/events?since=30d&result=failure' },
  { name: 'detail', path: () => '/events?changed=true', height: 1_340, prepare: openChanged },
];

/** The list itself, with what stands right above it. */
const showList = (page: Page): Promise<void> =>
  page.evaluate("document.querySelector('[aria-label=Result]').scrollIntoView()");

/** For docs/guide/investigate.md. */
const guidePictures: readonly Picture[] = [
  {
    name: 'investigate-event',
    path: () => '/events?since=30d&q=resource_type:sso_connector+-action:view',
    height: 640,
    lightOnly: true,
    prepare: async (page) => {
      await page.locator('[data-row]').first().click();
      await page.locator('aside.side .facts').waitFor();
      await showList(page);
    },
  },
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

const images = fileURLToPath(new URL('../../docs/images/', import.meta.url));
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

const take = async (world: World, wanted: readonly string[]): Promise<void> => {
  const browser = await launchChromium();
  try {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme });
      for (const { name, path, prepare, height = 800, lightOnly = false } of [...pictures, ...guidePictures]) {
        if ((wanted.length > 0 && !wanted.includes(name)) || (lightOnly && colorScheme === 'dark')) continue;
        const page = await context.newPage();
        await page.setViewportSize({ width: 1280, height });
        await page.goto(`${world.daemon.httpUrl}${path(world)}`);
        await prepare?.(page, world);
        await page.screenshot({ path: join(images, `${name}-${colorScheme}.png`), animations: 'disabled' });
        await page.close();
      }
    }
  } finally {
    await browser.close();
  }
};

const directory = await mkdtemp(join(tmpdir(), 'orgtrail-screenshots-'));
try {
  const sinks = {
    archive: { type: 'file', path: join(directory, 'audit.ndjson') },
    siem: { type: 'webhook', url: 'http://127.0.0.1:9/orgtrail', secret: 'whsec_c2VjcmV0LW9mLXRoZS1zY3JlZW5zaG90cw==' },
  };
  const env = {
    ...(process.env['DATABASE_URL'] === undefined
      ? { ORGTRAIL_DATA_DIR: join(directory, 'data') }
      : { DATABASE_URL: process.env['DATABASE_URL'] }),
    ORGTRAIL_HISTORY: '60d',
    ORGTRAIL_API_BUDGET: '1200',
    ORGTRAIL_SINKS: JSON.stringify(sinks),
  };
  const history = { seed: 5, organizations: 24, entries: ENTRIES, historyMs: 55 * 24 * HOUR_MS };
  const simulator = await startSimulator({ ...history, budget: null, liveRate: 1 });
  // Two daemons, so that the figures of the second one are about new events, not about history.
  const first = await startDaemonOver(simulator, { ...env, ORGTRAIL_API_BUDGET: '1000000' });
  await untilRead(first);
  await first.stop();
  const daemon = await startDaemonOver(simulator, env);
  try {
    await makeTrouble({ simulator, daemon });
    await mkdir(images, { recursive: true });
    await take({ simulator, daemon }, process.argv.slice(2));
    console.log(`written: ${images}`);
  } finally {
    await daemon.stop();
    await simulator.close();
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
