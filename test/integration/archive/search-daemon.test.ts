import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setRetentionPolicy } from '../../../src/retention/retention.sql.ts';
import {
  commit,
  entryText,
  newSource,
  RETENTION_DAYS,
  RETENTION_MS,
  T0,
} from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type RunningDaemon, startDaemonProcess } from '../../support/process/running-daemon.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const january = Date.UTC(2024, 0, 15);
const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id);

const json = async (daemon: RunningDaemon, path: string) => {
  const { code, text } = await daemon.get(path);
  return { code, body: JSON.parse(text) };
};

/** The ids of all pages. */
const walk = async (daemon: RunningDaemon, query: string) => {
  const found: string[] = [];
  for (let cursor = ''; ; ) {
    const { code, body } = await json(daemon, `/v1/search?limit=7&${query}${cursor}`);
    expect(code).toBe(200);
    found.push(...idsOf(body.events));
    if (body.next === null) return found;
    cursor = `&cursor=${body.next}`;
  }
};

test('a daemon and the command search archived months on request, and say so if they cannot', async () => {
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-'));
  const away = `${directory}-away`;
  try {
    const { pool } = world.database;
    await setRetentionPolicy(pool, RETENTION_MS);
    await pool.query('update discovery set server_time = clock_timestamp()');
    await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
    const texts = Array.from({ length: 40 }, (_, n) => entryText(`e-${n}`, n % 4 === 0 ? T0 + n : january + n));
    await commit(pool, await newSource(pool, 'o'), texts);
    const env = { ...world.env, DATABASE_URL: world.database.daemonUrl };
    const archiving = { ...env, ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`, ORGTRAIL_ARCHIVE: `file://${directory}` };
    const command = (...args: string[]) => runInProcess(['search', '--archive', ...args], archiving);
    const before = await (async () => {
      await using daemon = await startDaemonProcess(env);
      const csv = await daemon.get('/v1/search?format=csv');
      const ndjson = await daemon.get('/v1/search?format=ndjson');
      return { all: await walk(daemon, ''), csv: csv.text, ndjson: ndjson.text };
    })();
    expect(before.all).toHaveLength(40);
    await using daemon = await startDaemonProcess(archiving);
    await daemon.process.waitFor('dropped a month of events older than ORGTRAIL_RETENTION');

    const without = await json(daemon, '/v1/search');
    expect(without.body).toMatchObject({
      complete: false,
      incomplete_because: expect.arrayContaining(['archive_not_searched']),
      archived_months_read: null,
      coverage: { archived_months: ['2024-01'] },
    });
    expect(idsOf(without.body.events)).toEqual(before.all.slice(0, 10));
    expect(await walk(daemon, 'archive=true')).toEqual(before.all);
    const whole = await json(daemon, '/v1/search?archive=true&limit=500');
    expect(whole.body).toMatchObject({ archived_months_read: ['2024-01'], coverage: { archived_months: ['2024-01'] } });
    expect(whole.body.incomplete_because).not.toContain('archive_not_searched');
    expect(await daemon.get('/v1/search?format=csv&archive=true')).toMatchObject({ code: 200, text: before.csv });
    for (const query of ['archive=true', 'q=archive:true'])
      expect(await json(daemon, `/v1/search/summary?${query}`)).toMatchObject({
        code: 400,
        body: { reason: expect.stringContaining('of the database alone: leave out archive') },
      });

    expect(await command('--csv')).toMatchObject({ code: 0, stdout: before.csv });
    expect(await command('--ndjson')).toMatchObject({ code: 0, stdout: before.ndjson });
    const page = JSON.parse((await command('--json', '--limit', '500')).stdout);
    expect(idsOf(page.events)).toEqual(before.all);
    expect(page.archived_months_read).toEqual(['2024-01']);
    expect((await command()).stdout).toContain('The archived month 2024-01 was searched as well.');
    for (const args of [
      ['--archive', '--count'],
      ['--count', 'archive:true'],
    ])
      expect(await runInProcess(['search', ...args], archiving)).toMatchObject({ code: 2, stdout: '' });

    const archived = whole.body.events.find(({ id }: { id: string }) => id === 'e-1');
    const shown = await daemon.get(`/events/${archived.position}`);
    expect(shown).toMatchObject({ code: 200, text: expect.stringContaining('e-1') });
    expect((await daemon.get(`/events/${archived.position}/original`)).text).toBe(texts[1]);
    const plain = (await daemon.get('/events')).text;
    expect(plain).toContain('<strong>The archived month 2024-01 was not searched.</strong>');
    const [, link = ''] = /<a href="([^"]+)">Search them too<\/a>/.exec(plain) ?? [];
    const searched = (await daemon.get(link.replaceAll('&amp;', '&'))).text;
    expect(searched).toContain('The archived month 2024-01 was searched as well. The counts are without them.');
    expect(searched).toMatch(/<input type="checkbox" name="archive"[^>]* checked/);
    expect(searched).toContain(`/events/${archived.position}`);
    expect(plain).not.toContain(`/events/${archived.position}"`);
    // The archived event leads on through a search that reaches the archive.
    const inSearch = await daemon.get(`/events/${archived.position}?search=archive%3Dtrue`);
    expect(inSearch.text).toMatch(/<a [^>]*href="\/events\/\d+\?search=archive%3Dtrue">← Newer in this search/);

    // What was read before is remembered by this process.
    await rename(directory, away);
    await using fresh = await startDaemonProcess({ ...env, ORGTRAIL_ARCHIVE: `file://${directory}` });
    for (const path of ['/v1/search?archive=true', '/v1/search?archive=true&format=csv'])
      expect(await json(fresh, path)).toMatchObject({ code: 503, body: { status: 'archive' } });
    expect(await fresh.get('/events?archive=true')).toMatchObject({ code: 503 });
    expect((await fresh.get('/v1/search')).code).toBe(200);
    for (const form of ['--json', '--csv'])
      expect(await command(form)).toMatchObject({ code: 4, stdout: '', stderr: expect.stringContaining('archive') });
    await rename(away, directory);
    expect(await walk(fresh, 'archive=true')).toEqual(before.all);
  } finally {
    await rm(directory, { recursive: true, force: true });
    await rm(away, { recursive: true, force: true });
  }
});
