import { afterEach, expect, test } from 'vitest';
import { savedSearchesIn } from '../../../src/search/saved-searches.sql.ts';
import type { DeliveryOutcome } from '../../../src/sinks/delivery.ts';
import { neverRefused } from '../../../src/sinks/delivery-store.sql.ts';
import { noteSearchMatches, readSearchMatches } from '../../../src/sinks/findings/tell-searches.sql.ts';
import { commitAll, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';

const { pool, register, status, work } = useSinkDatabase(async () => {});

afterEach(() => pool().query('delete from saved_searches'));

test('what newly matches is noted once by any number of replicas, in one message while the time runs, and what is old is not', async () => {
  const id = await tell('Deletions', 'since=1h&action=delete');
  // History that is read later, and the same now.
  await store(entry('old', 'delete', Date.now() - 3_600_000), entry('a', 'delete'), entry('b', 'update'));
  const asked = await Promise.all([ask(), ask(), ask()]);
  expect(asked.reduce((sum, noted) => sum + noted, 0)).toBe(1);
  const late = `select orgtrail_note_search_matches($1, 0, h.position, '{"events": 1, "position": 1, "link": "", "summary": ""}') as noted from feed_head h`;
  expect((await pool().query(late, [id])).rows).toEqual([{ noted: false }]);
  expect(await messages()).toEqual(['Deletions 1']);
  await store(entry('c', 'delete'), entry('d', 'delete'), entry('e', 'delete', null));
  expect(await ask()).toBe(0);
  await pool().query("update search_tells set last_match_at = last_match_at - interval '1 minute'");
  expect(await ask()).toBe(1);
  expect(await messages()).toEqual(['Deletions 1', 'Deletions 3']);
  expect(await kept().find(id)).toMatchObject({ tells: { sink: 'team', matched: 4, error: null } });
  // Another sink, another time: it goes on where it was.
  await store(entry('f', 'delete'));
  await kept().tell(id, { sink: 'team', everySeconds: 600, by: undefined });
  await pool().query('update search_tells set last_match_at = null');
  expect(await ask()).toBe(1);
  expect(await kept().tell(id, { sink: undefined, everySeconds: 60, by: undefined })).toBe('ended');
  await store(entry('g', 'delete'));
  expect(await ask()).toBe(0);
});

test('what cannot be asked says why, and keeps its place', async () => {
  const id = await tell('Of an organization', 'organization=Acme');
  const elsewhere = await tell('Elsewhere', '');
  await pool().query("update search_tells set sink = 'gone' where search_id = $1", [elsewhere]);
  await store(entry('h', 'delete'));
  expect(await ask()).toBe(0);
  const errors = async () => (await kept().list()).map(({ tells }) => tells?.error);
  expect(await errors()).toEqual([
    'the daemon has no sink gone with "events": "searches"',
    expect.stringMatching(/^the search cannot be asked: organization /),
  ]);
  const source = await newSource(pool(), 'org-acme');
  await pool().query("update organizations set name = 'Acme' where id = 'org-acme'");
  await commitAll(pool(), source, [[entry('i', 'delete')]]);
  expect(await ask()).toBe(1);
  expect(await kept().find(id)).toMatchObject({ tells: { matched: 1, error: null } });
});

test('a search for what rules find is told of what they find later', async () => {
  await tell('Found', 'q=detection%3Aown');
  const position = await store(entry('j', 'delete'));
  await pool().query('select orgtrail_want_detections(false)');
  await pool().query('update finding_head set position = $1', [position]);
  expect(await ask()).toBe(0);
  await pool().query(
    `insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at, actor, events, first_time, summary)
     select 'own', source_kind, source_id, id, $1 + 1, position, 'high', action_time, received_at, 'x', 1, action_time, 'x' from audit_events where position = $1`,
    [position],
  );
  await pool().query('update finding_head set position = $1', [await store(entry('k', 'update'))]);
  expect(await ask()).toBe(1);
  expect(await messages()).toEqual(['Found 1']);
});

test('a sink gets each message once, through stops and refusals, with a link to the events', async () => {
  await tell('Deletions', 'action=delete');
  await store(entry('l', 'delete'));
  expect(await ask()).toBe(1);
  const answers: DeliveryOutcome[] = [{ kind: 'refused', reason: 'no such key' }];
  const sink = createTestSink(() => answers.shift() ?? { kind: 'delivered', refused: [] });
  const start = () => work('team', neverRefused(sink), { stream: 'searches', minSeverity: 'high' });
  {
    await using _ = start();
    await until('it is sent', async () => (await status('team')).delivered === 1);
  }
  await store(entry('m', 'delete'));
  await pool().query('update search_tells set last_match_at = null');
  await ask();
  {
    await using _ = start();
    await until('the next is sent', async () => (await status('team')).delivered === 2);
    await until('it goes along with the feed', async () => (await status('team')).lagEvents === 0);
  }
  const [refused, first, second] = sink.deliveries.flatMap(({ events }) => events);
  expect(refused?.key).toBe(first?.key);
  expect(second?.key).not.toBe(first?.key);
  expect(sink.deliveries).toHaveLength(3);
  const said = JSON.parse(second?.text ?? '');
  expect(said).toMatchObject({
    kind: 'search',
    search: 'Deletions',
    events: 1,
    summary: expect.stringMatching(/^1 event matches: .*delete/),
  });
  expect(said.link).toMatch(/^\/events\?action=delete&since=[^&]+&before=[^&]+Z$/);
  expect(await messages()).toEqual([]);
});

const kept = () => savedSearchesIn(pool());
const ask = () => noteSearchMatches(pool(), ['team']);

const tell = async (name: string, search: string): Promise<number> => {
  await register('team');
  const saved = await kept().save({ name, search, by: undefined });
  const id = 'id' in saved ? saved.id : 0;
  expect(await kept().tell(id, { sink: 'team', everySeconds: 60, by: undefined })).toBe('told');
  return id;
};

/** Not delivered yet. */
const messages = async () =>
  (await readSearchMatches(pool(), 'team', { after: 0, maxEvents: 100 })).map(
    ({ finding }) => `${finding.search?.name} ${finding.events}`,
  );

/** Of this moment, or of another; `null`: of none. */
const entry = (id: string, type: string, timeMs: number | null = Date.now() + 1_000): string =>
  entryText(id, 0, {
    action: { type, result: 'success', ...(timeMs !== null && { time: new Date(timeMs).toISOString() }) },
  });

let sources = 0;

/** Returns the last position. */
const store = async (...entries: readonly string[]): Promise<number> => {
  sources += 1;
  await commitAll(pool(), await newSource(pool(), `org-${sources}`), [[...entries]]);
  const { rows } = await pool().query('select position::integer from feed_head');
  return rows[0].position;
};
