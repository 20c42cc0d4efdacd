import { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { createAccessToken } from '../../../src/postgres/access/tokens.sql.ts';
import { MAX_SAVED, savedSearchesIn } from '../../../src/search/saved-searches.sql.ts';
import { openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { signInAt } from '../../support/accounts/sign-in.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { serve } from '../../support/sync/served.ts';

const opened = forAllTests(() => openLeastPrivilegedRun({ organizations: 1, entries: 5 }, { ORGTRAIL_SINKS: sinks }));
const served = forAllTests(() => serve(opened.run, { feedToken }));

const sinks = JSON.stringify({
  team: { type: 'slack', webhook_url: 'https://slack.example/x', events: 'searches' },
  siem: { type: 'file', path: '/tmp/none.ndjson' },
});

describe('with the account of the daemon', () => {
  test('a search is kept, renamed and deleted; names are told apart whatever the case of their letters', async () => {
    const first = await kept().save({ name: 'Deletions', search: 'since=24h&action=delete', by: 'jane' });
    const id = 'id' in first ? first.id : 0;
    expect(await kept().find(id)).toMatchObject({
      name: 'Deletions',
      search: 'since=24h&action=delete',
      savedBy: 'jane',
    });
    expect(await kept().save({ name: 'DELETIONS', search: '', by: undefined })).toEqual({ refused: 'name taken' });
    const second = await kept().save({ name: 'Another', search: '', by: undefined });
    const other = 'id' in second ? second.id : 0;
    expect((await kept().list()).map(({ name }) => name)).toEqual(['Another', 'Deletions']);
    expect(await kept().rename(other, 'deletions', 'jane')).toBe('name taken');
    expect(await kept().rename(other, 'another', 'tom')).toBe('renamed');
    expect(await kept().find(other)).toMatchObject({ name: 'another', renamedBy: 'tom', renamedAt: expect.any(Date) });
    expect([await kept().remove(other), await kept().remove(other), await kept().rename(other, 'x', 'y')]).toEqual([
      true,
      false,
      'unknown',
    ]);
    expect(await kept().remove(id)).toBe(true);
  });

  test.each([
    ['an empty name', '', ''],
    ['a name with blanks around it', ' x', ''],
    ['a name of 101 characters', 'x'.repeat(101), ''],
    ['a search of 8,001 characters', 'x', 'x'.repeat(8_001)],
  ])('the database refuses %s', async (_, name, search) => {
    await expect(kept().save({ name, search, by: undefined })).rejects.toMatchObject({ code: '23514' });
  });

  test('no more are kept than the limit, also if several are saved at the same time', async () => {
    await owner().query(
      "insert into saved_searches (name, search) select 'n ' || n, '' from generate_series(1, $1) n",
      [MAX_SAVED - 3],
    );
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => kept().save({ name: `last ${n}`, search: '', by: undefined })),
    );
    expect(answers.filter((answer) => 'id' in answer).length).toBe(3);
    expect(answers).toContainEqual({ refused: 'full' });
    expect((await kept().list()).length).toBe(MAX_SAVED);
    await owner().query('delete from saved_searches');
  });

  test('an account that may only read sees them, and changes none', async () => {
    await using login = await createLogin(opened.world.database, ['orgtrail_reader']);
    const pool = new Pool({ connectionString: login.url, max: 1 });
    try {
      const reader = savedSearchesIn(pool);
      expect(await reader.list()).toEqual([]);
      await expect(reader.save({ name: 'x', search: '', by: undefined })).rejects.toMatchObject({ code: '42501' });
      await expect(reader.remove(1)).rejects.toMatchObject({ code: '42501' });
    } finally {
      await pool.end();
    }
  });
});

describe('in the console', () => {
  test('only the token that saved a search, and that of the environment, rename and delete it', async () => {
    const [jane, tom, shared] = [await as('jane.doe'), await as('tom'), await signIn(feedToken)];
    const location = async (name: string, by: { cookie: string }) => {
      const saved = await post('/searches', { name, search: 'since=7d' }, by);
      expect(saved.status).toBe(303);
      return Number(saved.headers.get('location')?.split('-').pop());
    };
    const id = await location('Of Jane', jane);
    for (const change of ['rename', 'delete']) {
      expect((await post(`/searches/${id}/${change}`, { name: 'Of Tom' }, tom)).status).toBe(403);
    }
    const page = await (await fetch(`${served.server.url}/searches/${id}`, { headers: tom })).text();
    expect(page).toContain('jane.doe, and ORGTRAIL_FEED_TOKEN, may rename and delete it');
    expect(page).not.toContain('/delete');
    expect(await kept().find(id)).toMatchObject({ name: 'Of Jane', savedBy: 'jane.doe', renamedAt: null });
    expect((await post(`/searches/${id}/rename`, { name: 'Of Jane Doe' }, jane)).status).toBe(303);
    expect(await kept().find(id)).toMatchObject({ name: 'Of Jane Doe', renamedBy: 'jane.doe' });
    expect((await post(`/searches/${id}/delete`, {}, shared)).status).toBe(303);
    expect(await kept().find(id)).toBeUndefined();
    const ofTom = await location('Of the team', shared);
    expect((await post(`/searches/${ofTom}/delete`, {}, tom)).status).toBe(403);
    expect((await post(`/searches/${ofTom}/delete`, {}, shared)).status).toBe(303);
  });

  test('a search tells a sink of searches, by the token that saved it', async () => {
    const [jane, tom] = [await as('jane.tells'), await as('tom.tells')];
    await owner().query(
      `insert into sinks (name, kind, target, position) values ('team', 'slack', 'x', 0) on conflict do nothing`,
    );
    const saved = await post('/searches', { name: 'Told', search: 'since=7d&action=delete' }, jane);
    const id = Number(saved.headers.get('location')?.split('-').pop());
    const tell = (sink: string, every: string, by: { cookie: string }) =>
      post(`/searches/${id}/tell`, { sink, every }, by);
    const codes = [
      tell('team', '15m', tom),
      tell('siem', '15m', jane),
      tell('team', '1s', jane),
      tell('team', '15m', jane),
    ];
    expect((await Promise.all(codes)).map(({ status }) => status)).toEqual([403, 400, 400, 303]);
    expect(await kept().find(id)).toMatchObject({
      tells: { sink: 'team', everySeconds: 900, toldBy: 'jane.tells', error: null },
    });
    const list = await (await fetch(`${served.server.url}/searches`, { headers: tom })).text();
    expect(list).toMatch(/<a href="\/sinks\/team">team<\/a> <span class="sub">no match yet/);
    expect((await tell('', '15m', jane)).status).toBe(303);
    expect(await kept().find(id)).toMatchObject({ tells: null });
    await kept().remove(id);
  });

  test('nothing is changed without signing in, nor by a form of another site', async () => {
    const form = { name: 'Foreign', search: '' };
    expect((await post('/searches', form)).headers.get('location')).toMatch(/^\/console\/sign-in/);
    const signedIn = await signIn(feedToken);
    expect((await post('/searches', form, { ...signedIn, origin: 'https://attacker.example' })).status).toBe(403);
    expect((await post('/searches', form, { authorization: `Bearer ${feedToken}` })).status).toBe(303);
    expect(await kept().list()).toEqual([]);
  });

  test('what cannot be searched for is not kept', async () => {
    const signedIn = await signIn(feedToken);
    const unreadable = ['q=nosuch%3Ax', 'since=lately', 'since=2026-02-01&before=2026-01-01'];
    // What is unknown, or said twice, would be kept as another search.
    for (const search of [...unreadable, 'acton=x', 'since=24h&since=7d', 'cursor=x&since=7d']) {
      expect((await post('/searches', { name: 'Wrong', search }, signedIn)).status, search).toBe(400);
    }
    const long = new URLSearchParams({ text: '🗑'.repeat(650), actor: 'x'.repeat(500) }).toString();
    expect((await post('/searches', { name: 'Long', search: long }, signedIn)).status).toBe(400);
    expect(await kept().list()).toEqual([]);
    await post('/searches', { name: 'Page', search: 'result=failure&since=7d' }, signedIn);
    expect(await kept().list()).toMatchObject([{ search: 'since=7d&result=failure' }]);
    expect((await post('/searches', { name: 'page', search: '' }, signedIn)).status).toBe(409);
    for (const id of ['0', '999999999', 'x', '1e3']) {
      expect((await post(`/searches/${id}/delete`, {}, signedIn)).status).toBe(404);
    }
  });
});

const feedToken = 'feed-token-of-the-test';

const owner = () => opened.world.database.pool;

/** Of the account of the daemon. */
const kept = () => savedSearchesIn(opened.run.app.database.pool);

const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${served.server.url}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    redirect: 'manual',
    headers: { origin: served.server.url, ...headers },
  });

const signIn = async (token: string) => ({ cookie: await signInAt(served, token) });

/** Signed in with a token of its own. */
const as = async (name: string): Promise<{ cookie: string }> => {
  const created = await createAccessToken({ pool: owner() }, { name, scopes: ['search'], expiresAt: undefined });
  return await signIn(created?.token ?? '');
};
