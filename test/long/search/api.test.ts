import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { printCursor, type SearchCursor } from '../../../src/search/query/search.ts';
import { openFullWorld } from '../../support/feed/many-events.ts';
import { heldBytes } from '../../support/process/held-bytes.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { words } from '../../support/process/words.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const feedToken = 'feed-token-of-the-test';
const headers = { authorization: `Bearer ${feedToken}` };

describe('GET /v1/search', () => {
  const world = ofAllTests(() => openWorld({ organizations: 4, entries: 300, faults: { defectRate: 0.1 } }));
  const run = ofAllTests(() => world.open());
  beforeAll(() => run.cycle());
  const served = ofAllTests(() => serve(run, { feedToken }));
  const get = async (query: string) => {
    const response = await fetch(`${served.server.url}/v1/search?${query}`, { headers });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const pageOf = async (query: string): Promise<Page> => {
    const { status, text } = await get(query);
    expect(status).toBe(200);
    return JSON.parse(text) as Page;
  };
  const stored = async () => {
    const { rows } = await world.database.pool.query<{ position: number; raw: string }>(
      'select position::float8 as position, raw::text as raw from audit_events order by action_time desc, position desc',
    );
    return rows;
  };

  test('pages there and back, by the cursors, with the exact originals', async () => {
    const rows = await stored();
    const pages: Page[] = [];
    let cursor: string | null = null;
    do {
      const query: string = `limit=70${cursor === null ? '' : `&cursor=${cursor}`}`;
      const { text } = await get(query);
      const page = JSON.parse(text) as Page;
      for (const { position } of page.events) {
        const raw = rows.find((row) => row.position === position)?.raw ?? 'none';
        expect(text.includes(raw.replace(/[\r\n]/g, ' '))).toBe(true);
      }
      pages.push(page);
      cursor = page.next;
    } while (cursor !== null);
    const positions = pages.flatMap(({ events }) => events.map(({ position }) => position));
    expect(positions).toEqual(rows.map(({ position }) => position));
    expect(pages[0]).toMatchObject({ previous: null, complete: true, coverage: { organizations: 4 } });
    const back = await pageOf(`limit=70&cursor=${pages[1]?.previous}`);
    expect(back.events).toEqual(pages[0]?.events);
  });

  test('an empty page leads back to the event that it begins beside', async () => {
    const { rows } = await world.database.pool.query<{ position: number; time: string }>(
      `select position::float8 as position, (action_time at time zone 'UTC')::text as time from audit_events
       where isfinite(action_time) order by action_time desc, position desc`,
    );
    const query = `since=2000-01-01&limit=3`;
    const besides = (direction: SearchCursor['direction'], row: (typeof rows)[number] | undefined) =>
      `cursor=${printCursor({ direction, time: `${row?.time}+00`, position: row?.position ?? 0 })}`;
    const newest = await pageOf(`${query}&${besides('newer', rows[0])}`);
    expect(newest.events).toEqual([]);
    const older = await pageOf(`${query}&cursor=${newest.next}`);
    expect(older.events.map(({ position }) => position)).toEqual(rows.slice(0, 3).map(({ position }) => position));
    const oldest = await pageOf(`${query}&${besides('older', rows.at(-1))}`);
    expect(oldest.events).toEqual([]);
    const newer = await pageOf(`${query}&cursor=${oldest.previous}`);
    expect(newer.events.map(({ position }) => position)).toEqual(rows.slice(-3).map(({ position }) => position));
  });

  test('what is wrong is said field by field; nonsense of a cursor is a 400', async () => {
    const faulty = await get('since=lately&defects=perhaps&action=create');
    expect(faulty.status).toBe(400);
    expect(JSON.parse(faulty.text).faults).toMatchObject([{ field: 'since' }, { field: 'defects' }]);
    for (const query of words(`
      cursor=nonsense cursor=%00 limit=0 limit=501 organisation=x format=xml action=a&action=b`)) {
      expect((await get(query)).status).toBe(400);
    }
    const refused = Buffer.from('<1 2026-02-31 00:00:00+00').toString('base64url');
    expect((await get(`cursor=${refused}`)).status).toBe(400);
  });

  test('the pages of the explorer want a session, the exports and originals, too', async () => {
    for (const path of '/events /events/1 /events/1/original /events/entry?id=x /events/export?format=csv'.split(' ')) {
      const response = await fetch(`${served.server.url}${path}`, { redirect: 'manual', headers });
      expect(response.status).toBe(303);
      expect(response.headers.get('location')).toMatch(/^\/console\/sign-in\?next=/);
    }
  });
});

describe('an export of 100,000 events', () => {
  const EVENTS = 100_000;
  const world = ofAllTests(() => openFullWorld(EVENTS));
  const run = ofAllTests(() => world.open());
  const served = ofAllTests(() => serve(run));
  const download = async (format: string) => {
    const outgoing = request(`${served.server.url}/v1/search?format=${format}`).end();
    const [response] = await once(outgoing, 'response');
    return response as import('node:http').IncomingMessage;
  };

  test.each([
    ['ndjson', EVENTS],
    ['csv&result=failure', undefined],
  ])('%s is whole, and a reader that stalls costs no memory', async (format, events) => {
    const { rows } = await world.database.pool.query(
      "select count(*)::integer as failures from audit_events where action_result = 'failure'",
    );
    const response = await download(format);
    await sleep(100);
    const before = heldBytes();
    // Nothing is read meanwhile: were it not for back-pressure, the whole answer would be made in that time.
    await sleep(1_500);
    expect(heldBytes() - before).toBeLessThan(50_000_000);
    const positions = new Set<number>();
    let rest = '';
    for await (const chunk of response.setEncoding('utf8')) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) positions.add(Number(/^(?:\{"position":)?(\d+)/.exec(line)?.[1] ?? Number.NaN));
    }
    positions.delete(Number.NaN);
    expect(rest).toBe('');
    expect(positions.size).toBe(events ?? rows[0].failures);
  });

  test('that cannot go on breaks off, instead of ending as if it were whole', async () => {
    const response = await download('ndjson');
    const { pool } = world.database;
    await pool.query('alter table audit_events rename to audit_events_elsewhere');
    try {
      const ended = new Promise<string>((resolve) => {
        response.on('end', () => resolve('ended'));
        response.on('error', (error) => resolve(error.message));
        response.resume();
      });
      expect(await ended).toBe('aborted');
    } finally {
      await pool.query('alter table audit_events_elsewhere rename to audit_events');
    }
  });
});

interface Page {
  readonly events: readonly { readonly position: number; readonly id: string }[];
  readonly next: string | null;
  readonly previous: string | null;
  readonly complete: boolean;
  readonly coverage: { readonly organizations: number; readonly incomplete: number };
}
