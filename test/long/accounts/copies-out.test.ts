import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { startSinks } from '../../../src/app/start-sinks.ts';
import { formatNames } from '../../../src/formats/registry.ts';
import type { TrueEntry } from '../../../src/simulator/world/audit-log.ts';
import { replaySink } from '../../../src/sinks/replay.sql.ts';
import { jsonLines } from '../../support/feed/json-lines.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { startWebhookReceiver } from '../../support/sinks/http/http-receivers.ts';
import { credentials } from '../../support/sinks/http/http-sinks.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** Of accounts, every copy. */
let truth: readonly TrueEntry[];
/** Everything, in order of position. */
let all: readonly Line[];
const { folder } = temporaryFolder();
const world = forAllTests(() =>
  openWorld(
    { organizations: 2, entries: 40, accounts: 3, standaloneAccounts: 1, accountEntries: 600 },
    { ORGTRAIL_SOURCES: 'organizations,accounts' },
  ),
);
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await run.sync();
  truth = [...world.simulator.truth({ kind: 'account' })];
  all = await feed('limit=100000');
});

const linesOf = (text: string) => jsonLines<Line>(text);
const positions = (lines: readonly { readonly position: number }[]) => lines.map(({ position }) => position);

test('the simulator serves ids that several accounts have', () => {
  const counts = [...Map.groupBy(truth, ({ id }) => id).values()].map((copies) => copies.length);
  expect(Math.max(...counts)).toBeGreaterThanOrEqual(3);
  expect(truth.length).toBeGreaterThan(counts.length + 20);
});

describe('GET /v1/events', () => {
  test('gives each id of an account once, at its lowest position, or once per source', async () => {
    expect(positions(await feed('limit=100000&copies=first'))).toEqual(positions(firstsOf(all)));
    expect(await feed('limit=100000&copies=all')).toEqual(all);
  });

  test('in pieces, by the cursor, it is the same; a request of so many gives so many', async () => {
    const read: Line[] = [];
    for (let after = 0; ; ) {
      const response = await fetch(`${served.server.url}/v1/events?after=${after}&limit=17&copies=first`);
      const lines = linesOf(await response.text());
      read.push(...lines);
      const next = Number(response.headers.get('orgtrail-next-position'));
      if (next === after) break;
      if (next < all.length) expect(lines).toHaveLength(17);
      after = next;
    }
    expect(positions(read)).toEqual(positions(firstsOf(all)));
  });

  test('with an account, it is the first of those that the account has: none is lost', async () => {
    for (const { id } of world.simulator.summary().accounts) {
      const own = all.filter(({ source_id }) => source_id === id);
      expect(positions(await feed(`limit=100000&copies=first&account=${id}`))).toEqual(positions(own));
    }
    const [one, two] = world.simulator.summary().accounts.map(({ id }) => id);
    const both = all.filter(({ source_id }) => source_id === one || source_id === two);
    expect(positions(await feed(`limit=100000&copies=first&account=${one}&account=${two}`))).toEqual(
      positions(firstsOf(both)),
    );
  });

  test.each(formatNames)('as %s, it has as many lines', async (format) => {
    const text = await (
      await fetch(`${served.server.url}/v1/events?limit=100000&copies=first&format=${format}`)
    ).text();
    expect(text.split('\n').length - 1).toBe(firstsOf(all).length);
  });

  test('another word than all or first is refused', async () => {
    expect((await served.get('/v1/events?copies=some')).code).toBe(400);
  });
});

test('orgtrail feed --copies', async () => {
  const env = { DATABASE_URL: world.database.url };
  const first = await runInProcess(['feed', '--copies', 'first'], env);
  expect(positions(linesOf(first.stdout))).toEqual(positions(firstsOf(all)));
  const limited = await runInProcess(['feed', '--copies', 'first', '--limit', '25'], env);
  expect(positions(linesOf(limited.stdout))).toEqual(positions(firstsOf(all).slice(0, 25)));
  const refused = await runInProcess(['feed', '--copies', 'some'], env);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--copies') });
});

describe('a search with copies=first', () => {
  const env = () => ({ DATABASE_URL: world.database.url });
  const found = async (query: string) =>
    linesOf(await (await fetch(`${served.server.url}/v1/search?format=ndjson&${query}`)).text());
  const sorted = (lines: readonly { readonly position: number }[]) => positions(lines).sort((a, b) => a - b);

  test('has each entry once: the first that meets the rest of it', async () => {
    const firsts = firstsOf(all);
    expect(firsts.length).toBeLessThan(all.length);
    expect(sorted(await found('copies=first'))).toEqual(positions(firsts));
    expect(await found('copies=all')).toHaveLength(all.length);
    expect(sorted(await found(`q=${encodeURIComponent('copies:first')}`))).toEqual(positions(firsts));
    const [one, two] = world.simulator.summary().accounts.map(({ id }) => id);
    const both = all.filter(({ source_id }) => source_id === one || source_id === two);
    expect(sorted(await found(`copies=first&q=account:${one},${two}`))).toEqual(positions(firstsOf(both)));
    for (const query of ['action=login', 'text=login', '-action:login -actor:x*']) {
      const asked = query.includes('=') ? query : `q=${encodeURIComponent(query)}`;
      const every = (await found(asked)).toSorted((a, b) => a.position - b.position);
      expect(sorted(await found(`copies=first&${asked}`)), query).toEqual(positions(firstsOf(every)));
    }
    const command = await runInProcess(['search', '--copies', 'first', '--ndjson'], env());
    expect(sorted(linesOf(command.stdout))).toEqual(positions(firsts));
    const pages = await runInProcess(['search', '--copies', 'first', '--json', '--limit', '500'], env());
    expect(JSON.parse(pages.stdout).events.length).toBe(Math.min(500, firsts.length));
  });

  test('counts, facets and the histogram are of these', async () => {
    const firsts = firstsOf(all).length;
    for (const query of [
      'copies=first',
      'copies=first&defects=false',
      `copies=first&q=${encodeURIComponent('-text:zzzz')}`,
    ]) {
      const response = await fetch(`${served.server.url}/v1/search/summary?${query}`);
      const body = (await response.json()) as {
        readonly histogram: readonly Readonly<Record<'success' | 'failure' | 'other', number>>[];
      };
      expect(body, query).toMatchObject({ events: firsts, at_least: false });
      const bars = body.histogram.reduce((sum, { success, failure, other }) => sum + success + failure + other, 0);
      expect(bars, query).toBe(firsts);
    }
    const { stdout } = await runInProcess(
      ['search', '--copies', 'first', '--count', '--facet', 'result', '--json'],
      env(),
    );
    const summary = JSON.parse(stdout);
    expect(summary.events).toBe(firsts);
    const values: readonly { readonly events: number }[] = summary.facets.fields.result.values;
    expect(values.reduce((sum, { events }) => sum + events, 0)).toBe(firsts);
  });

  test('is on the page, with a statement of SQL that has the same, and cannot be had with archived months', async () => {
    const page = await (await fetch(`${served.server.url}/events?copies=first&limit=500`)).text();
    expect(page).toMatch(/id="f-q"[^>]* value="copies:first"/);
    const sql = />(select position[^<]*)<\/pre>/.exec(page)?.[1] ?? '';
    const plain = sql
      .replaceAll('&#39;', "'")
      .replaceAll('&gt;', '>')
      .replaceAll('&lt;', '<')
      .replaceAll('&quot;', '"');
    const { rows } = await pool.query<{ position: string }>(plain);
    expect(rows.length).toBe(Math.min(500, firstsOf(all).length));
    expect((await served.get('/v1/search?copies=first&archive=true')).code).toBe(400);
    expect((await served.get('/v1/search?copies=some')).code).toBe(400);
  });
});

describe('a sink', () => {
  /** Starts these sinks as the daemon does, until all of them have caught up and `meanwhile` is over. */
  const deliver = async (settings: Readonly<Record<string, object>>, meanwhile = async () => {}) => {
    await using other = await world.open({ ORGTRAIL_SINKS: JSON.stringify(settings) });
    const stop = new AbortController();
    const { logger, metrics } = other;
    const sinks = await startSinks(other.config, other.app, { logger, metrics, asked: stop.signal, hard: stop.signal });
    const caughtUp = () =>
      until('the sinks have caught up', async () => {
        const { rows } = await pool.query(
          'select count(*) = 0 as done from sinks s, feed_head h where s.name = any ($1) and s.position < h.position',
          [Object.keys(settings)],
        );
        return rows[0].done;
      });
    try {
      await caughtUp();
      await meanwhile();
      await caughtUp();
    } finally {
      stop.abort();
      await sinks.ended;
      await sinks.close();
    }
  };

  test('a webhook gets each shared id once with `first`, also once more by a replay, and once per source with `all`', async () => {
    await using first = await startWebhookReceiver();
    await using every = await startWebhookReceiver();
    const webhook = { type: 'webhook', secret: credentials.webhookSecret, batch_events: 50 };
    const settings = { first: { ...webhook, url: first.url, copies: 'first' }, every: { ...webhook, url: every.url } };
    let once = 0;
    await deliver(settings, async () => {
      once = first.received().length;
      await replaySink({ pool }, 'first', 0);
    });
    const received = positions(first.received());
    expect(received.slice(0, once)).toEqual(positions(firstsOf(all)));
    expect(received.slice(once)).toEqual(positions(firstsOf(all)));
    expect(positions(every.received())).toEqual(positions(all));
  });

  test('a file of some accounts has the first copy among them', async () => {
    const path = join(folder, 'events.ndjson');
    const accounts = world.simulator
      .summary()
      .accounts.slice(1, 3)
      .map(({ id }) => id);
    await deliver({ file: { type: 'file', path, accounts, copies: 'first' } });
    const lines = linesOf(await readFile(path, 'utf8'));
    expect(positions(lines)).toEqual(positions(firstsOf(all.filter(({ source_id }) => accounts.includes(source_id)))));
    expect(lines.length).toBeGreaterThan(0);
  });
});

test('the page of an event in the console links its copies in both directions', async () => {
  const copies = [...byId().values()].find((group) => group.length >= 3) ?? [];
  const [first, second, third] = positions(copies);
  const page = await served.text(`/events/${first}`);
  expect(page).toContain(`First of ${copies.length} copies`);
  for (const other of [second, third]) expect(page).toContain(`<a href="/events/${other}">`);
  const copy = await served.text(`/events/${second}`);
  expect(copy).toContain(`A copy of <a href="/events/${first}">event ${first}</a>`);
  expect(copy).toContain(`This is copy 2 of ${copies.length}.`);
  expect(copy).toContain(`<a href="/events/${third}">`);
  const own = [...byId().values()].find((group) => group.length === 1) ?? [];
  expect(await served.text(`/events/${own[0]?.position}`)).not.toContain('id="copies"');
});

test('the table of a search names the account of an entry that does not name it, as the listing does', async () => {
  const [last] = all.filter(({ source_id }) => world.simulator.summary().accounts.some(({ id }) => id === source_id));
  await pool.query('update audit_events set account_name = null where position = $1', [last?.position]);
  const { rows } = await pool.query('select name from accounts where id = $1', [last?.source_id]);
  const { stdout } = await runInProcess(['search', `id:${last?.id} account:${last?.source_id}`], {
    DATABASE_URL: world.database.url,
  });
  expect(stdout).toContain(rows[0].name);
  expect(stdout).not.toContain(last?.source_id.slice(0, 12));
  const page = await (await fetch(`${served.server.url}/events?q=id:${last?.id}&account=${last?.source_id}`)).text();
  expect(page).toMatch(new RegExp(`>${rows[0].name}<`));
  const json = await runInProcess(['search', '--ndjson', `id:${last?.id} account:${last?.source_id}`], {
    DATABASE_URL: world.database.url,
  });
  expect(JSON.parse(json.stdout).account_name, 'lines are those of the feed').toBeNull();
});

type Line = Readonly<Record<'source_id' | 'id', string> & { position: number }>;

const feed = async (query: string): Promise<Line[]> =>
  linesOf(await (await fetch(`${served.server.url}/v1/events?${query}`)).text());

/** Of each id in the simulator's logs of accounts, the copies in order of position. */
const byId = (lines = all) => Map.groupBy(lines, ({ id }) => id);

/** What a reader of the first copies gets: the lowest position of each id. */
const firstsOf = (lines: readonly Line[]) => [...byId([...lines]).values()].map(([first]) => first as Line);
