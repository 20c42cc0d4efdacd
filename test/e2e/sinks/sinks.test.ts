import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { firstValue } from '../../support/postgres/rows.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { startVendorReceiver } from '../../support/sinks/http/vendor-receivers.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const EVENTS = 5_000;
const { folder } = temporaryFolder();

describe.concurrent('sinks of the real daemon', () => {
  test('a dead sink slows neither the pulling nor another sink, shows as failing, and has all once it is back', async () => {
    const directory = join(folder, 'dead');
    await mkdir(directory);
    const gone = join(directory, 'not-mounted');
    await using world = await openWorld({ organizations: 3, entries: 2_000, pageCap: 100 });
    await using daemon = await startDaemonProcess({
      ...world.env,
      ORGTRAIL_SINKS: JSON.stringify({
        good: { type: 'file', path: join(directory, 'good.ndjson') },
        dead: { type: 'file', path: join(gone, 'dead.ndjson'), batch_events: 10 },
        ocsf: { type: 'file', path: join(directory, 'ocsf.ndjson'), format: 'ocsf', start: 'now' },
      }),
    });
    await until('all is stored', async () => (await head(world)) === 2_000);
    await until('and delivered', async () => (await sinkAt(world, 'good')) === 2_000);
    expect(expectComplete(await linesIn(directory, 'good'), 2_000)).toEqual({ repeats: 0 });

    await daemon.process.waitFor('sink delivery failing');
    const health = await daemon.health();
    expect(health.status).toBe('failing');
    expect(health.sinks).toMatchObject([
      { name: 'dead', type: 'file', state: 'failing', position: 0, lag_events: 2_000, dead_letters: 0 },
      { name: 'good', type: 'file', state: 'ok', position: 2_000, lag_events: 0, lag_seconds: 0, failures: 0 },
      { name: 'ocsf' },
    ]);
    expect(health.sinks[0]?.last_error).toContain('the directory does not exist (ENOENT)');
    expect((await daemon.get('/readyz')).code).toBe(200);
    const metrics = (await daemon.get('/metrics')).text;
    expect(metrics).toContain('orgtrail_sink_position{sink="good"} 2000');
    expect(metrics).toContain('orgtrail_sink_lag_events{sink="dead"} 2000');
    expect(metrics).toContain('orgtrail_sink_delivered_total{sink="good"} 2000');
    expect(metrics).toMatch(/orgtrail_sink_deliveries_total\{sink="dead",result="failed"\} [1-9]/);
    const shown = await runInProcess(['status'], world.env);
    expect(shown.stdout).toMatch(/^dead +failing +file +0 +2000 .*not-mounted\/dead\.ndjson$/m);
    expect(shown.stdout).toMatch(/^dead: \d+ failures? in a row, the last error: .*ENOENT/m);

    await mkdir(gone);
    await daemon.process.waitFor('sink recovered');
    await until('it has all', async () => (await sinkAt(world, 'dead')) === 2_000);
    expect(expectComplete(await linesIn(gone, 'dead'), 2_000)).toEqual({ repeats: 0 });
    expect(daemon.process.stdout().split('sink delivery failing').length - 1, 'said once').toBe(1);

    const refused = await runInProcess(['sink', 'replay', 'good', '--after', '1900'], world.env);
    expect(refused.stderr).toMatch(/this account may not do that: sink replay\nTry: .*owns the schema/);
    expect(refused.code).toBe(2);
    const replayed = await runInProcess(['sink', 'replay', 'good', '--after', '1900'], world.ownerEnv);
    expect(replayed).toMatchObject({ code: 0, stdout: expect.stringContaining('100 will be sent again') });
    await until('they are there again', async () => (await sinkAt(world, 'good')) === 2_000);
    expect(expectComplete(await linesIn(directory, 'good'), 2_000)).toEqual({ repeats: 100 });
    expect(await daemon.stop()).toBe(143);
  });
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
  const isOk = async () =>
    (await daemon.health()).sinks[0]?.state === 'ok' && (await daemon.health()).sinks[0]?.lag_events === 0;
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
      const [sink] = (await daemon.health()).sinks;
      return sink?.state === 'failing' && sink?.last_error === words;
    });
    expect((await daemon.health()).status).toBe('failing');
    expect((await daemon.get('/metrics')).text).toMatch(/orgtrail_sink_failures\{sink="archive"\} [1-9]/);
    if (right === 'execute') {
      // Its next turn may end well, until it is to be renewed again.
      const listed = async () => (await runInProcess(['sink', 'list'], world.env)).stdout;
      await until('it is in the list', async () => new RegExp(`^archive: .*${words}`, 'm').test(await listed()));
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

test('the real daemon skips what Datadog would date as of now, and shows how many everywhere', async () => {
  await using world = await openWorld({ organizations: 2, entries: ENTRIES, pageCap: 100 });
  await using receiver = await startVendorReceiver('datadog', { limits: true });
  const datadog = { ...receiver.settings, start: 'beginning' };
  await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_SINKS: JSON.stringify({ datadog }) });
  const numberOf = async (sql: string): Promise<number> =>
    Number((await world.database.pool.query<{ n: string }>(`select (${sql})::text as n`)).rows[0]?.n ?? 0);
  await until('all is stored', async () => (await numberOf('select position from feed_head')) === ENTRIES);
  const at = "select coalesce(max(position), 0) from sinks where name = 'datadog'";
  await until('and dealt with', async () => (await numberOf(at)) === ENTRIES);
  await daemon.process.waitFor('sink skips events that are older than its max_age');

  const old = await numberOf(
    "select count(*) from audit_events where action_time < now() - interval '1070 minutes' and action_time > '-infinity'",
  );
  const skipped = await numberOf("select skipped from sinks where name = 'datadog'");
  // By now one or two more may have become too old.
  expect([skipped > 0, skipped < ENTRIES, old - skipped >= 0, old - skipped < 5]).toEqual([true, true, true, true]);
  expect(receiver.events()).toHaveLength(ENTRIES - skipped);
  expect(receiver.altered).toEqual([]);

  const health = await daemon.health();
  const shown = { name: 'datadog', state: 'ok', position: ENTRIES, skipped_events: skipped, dead_letters: 0 };
  expect(health.sinks).toMatchObject([shown]);
  expect((await daemon.get('/metrics')).text).toContain(`orgtrail_sink_skipped_events{sink="datadog"} ${skipped}`);
  const list = await runInProcess(['sink', 'list'], world.ownerEnv);
  expect(list.stdout).toMatch(
    new RegExp(`^SINK .* SKIPPED .*\\ndatadog +ok +datadog +${ENTRIES} +0 +0ms +0 +${skipped} `),
  );
  const replayed = await runInProcess(['sink', 'replay', 'datadog', '--after', '0'], world.ownerEnv);
  expect(replayed.stdout).toContain('; those older than 17h 50m, its max_age, will be skipped');
});

interface Line {
  readonly position: number;
  readonly key: string;
  readonly text: string;
}

/** All lines that a file sink has written to `directory`, in the order in which they were. */
const linesIn = async (directory: string, name: string): Promise<readonly Line[]> => {
  const aside = (await readdir(directory)).filter((file) => file.startsWith(`${name}-`)).sort();
  const paths = [...aside, `${name}.ndjson`].map((file) => join(directory, file));
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => '')));
  return texts.flatMap((text) => {
    expect(text === '' || text.endsWith('\n'), 'the last line is whole').toBe(true);
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const { position, source_id, id } = JSON.parse(line);
        return { position, key: `${source_id}/${id}`, text: line };
      });
  });
};

const head = (world: SyncWorld): Promise<number> =>
  firstValue<number>(world.database.pool, 'select position::float8 from feed_head');

const sinkAt = async (world: SyncWorld, name: string): Promise<number> => {
  const { rows } = await world.database.pool.query<{ position: number }>(
    'select position::float8 from sinks where name = $1',
    [name],
  );
  return rows[0]?.position ?? 0;
};

/** Each position is there, the first of each in order; what comes more than once is the same to the byte. */
const expectComplete = (lines: readonly Line[], until: number): { readonly repeats: number } => {
  const textOf = new Map<number, string>();
  const keys = new Set<string>();
  for (const { position, key, text } of lines) {
    const before = textOf.get(position);
    if (before === undefined) expect(position, 'in order, none left out').toBe(textOf.size + 1);
    else expect(text, 'a repeat').toBe(before);
    textOf.set(position, text);
    keys.add(key);
  }
  expect(textOf.size).toBe(until);
  expect(keys.size).toBe(until);
  return { repeats: lines.length - until };
};

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

const ENTRIES = 400;
