import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const EVENTS = 5_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-rights-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test(`${EVENTS} events by the account that docs/operations says; a right that is taken away shows at once, in all places, with its reason`, async () => {
  await using world = await openWorld({ organizations: 3, entries: EVENTS, pageCap: 1_000 });
  const { pool } = world.database;
  const path = join(folder, 'a.ndjson');
  await using daemon = await startDaemonProcess({
    ...world.env,
    ORGTRAIL_SINKS: JSON.stringify({ archive: { type: 'file', path } }),
  });
  const lines = async () => (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  const health = async () => JSON.parse((await daemon.get('/healthz')).text);
  const isOk = async () => (await health()).sinks[0]?.state === 'ok' && (await health()).sinks[0]?.lag_events === 0;
  let due = EVENTS;
  const delivered = async () =>
    (await pool.query('select from sinks, feed_head h where sinks.position = h.position and h.position >= $1', [due]))
      .rowCount === 1;
  await until('all is delivered', delivered);
  const positions = (await lines()).map((line) => JSON.parse(line).position);
  expect(positions).toEqual(Array.from({ length: EVENTS }, (_, n) => n + 1));

  for (const { on, right, words } of rights) {
    await pool.query(`revoke ${right} on ${on} from orgtrail_ingest`);
    const [organization] = world.simulator.summary().organizations;
    world.simulator.generate(organization?.id ?? '', 1);
    due += 1;
    await until(`${words} is in health`, async () => {
      const [sink] = (await health()).sinks;
      return sink?.state === 'failing' && sink?.last_error === words;
    });
    expect((await health()).status).toBe('failing');
    expect((await daemon.get('/metrics')).text).toMatch(/orgtrail_sink_failures\{sink="archive"\} [1-9]/);
    if (right === 'execute') {
      const listed = await runInProcess(['sink', 'list'], world.env);
      expect(listed.stdout).toMatch(new RegExp(`^archive: .*${words}`, 'm'));
    }
    await pool.query(`grant ${right} on ${on} to orgtrail_ingest`);
    await until('it is over', async () => (await isOk()) && (await delivered()));
    expect((await daemon.get('/metrics')).text).toContain('orgtrail_sink_failures{sink="archive"} 0');
  }
  const all = new Set((await lines()).map((line) => JSON.parse(line).position));
  const { rows } = await pool.query('select position::integer from feed_head');
  expect(all.size, 'none is missing').toBe(rows[0].position);
  expect(await daemon.stop()).toBe(143);
});

/**
 * A right of the collector's account, and the words of PostgreSQL once it is gone. That to take the turn is not among them: a daemon that has it
 * needs no other as long as it runs.
 */
const rights = [
  {
    on: 'function orgtrail_finish_delivery',
    right: 'execute',
    words: 'permission denied for function orgtrail_finish_delivery',
  },
  {
    on: 'function orgtrail_begin_delivery',
    right: 'execute',
    words: 'permission denied for function orgtrail_begin_delivery',
  },
  { on: 'function orgtrail_renew_sink', right: 'execute', words: 'permission denied for function orgtrail_renew_sink' },
  { on: 'table audit_events', right: 'select', words: 'permission denied for table audit_events' },
] as const;
