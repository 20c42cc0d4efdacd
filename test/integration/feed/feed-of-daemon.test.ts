import { connect, createServer } from 'node:net';
import { beforeAll, expect, test } from 'vitest';
import { listen } from '../../support/network/listen.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess, startInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** `orgtrail feed --url`: the same lines as from the database, also over a network that cuts answers off. */
const feedToken = 'feed-token-of-the-feed-command';
const world = forAllTests(() => openWorld({ organizations: 3, entries: 900 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run, { feedToken }));
let [organization, head] = ['', 0];
beforeAll(async () => {
  await run.cycle();
  const { rows } = await pool.query<{ name: string; head: number }>(
    'select name, position::integer as head from organizations, feed_head order by name limit 1',
  );
  [organization, head] = [rows[0]?.name ?? '', rows[0]?.head ?? 0];
});
const local = (...args: string[]) => runInProcess(['feed', ...args], { DATABASE_URL: world.database.url });
const remote = (...args: string[]) =>
  runInProcess(['feed', '--url', served.server.url, ...args], { ORGTRAIL_FEED_TOKEN: feedToken });

test.each([
  ['--last-line'],
  ['--limit', '7', '--last-line'],
  ['--after', '500', '--limit', '300', '--last-line'],
  ['--after', '900000000'],
  ['--format', 'ocsf', '--limit', '40'],
  ['--format', 'cef', '--copies', 'first'],
  ['--organization', 'ORGANIZATION', '--last-line'],
  ['--organization', 'ORGANIZATION', '--limit', '5', '--last-line'],
  ['--organization', 'nosuch'],
  ['--account', 'nosuch'],
  ['--feed-id', '019c4f65-e760-7d8c-9f6f-6b58aa3aff50', '--after', '5'],
  ['--check', 'wrong', '--after', '5'],
  ['--dropped', '7'],
  ['--cursor', 'none'],
  ['--cursor', 'x', '--after', '1'],
])('%j: the same output, errors and exit code', async (...given) => {
  const args = given.map((arg) => (arg === 'ORGANIZATION' ? organization : arg));
  expect(await remote(...args)).toEqual(await local(...args));
});

test('more than one answer has, and on from its last line', async () => {
  const whole = await local();
  expect(whole.stdout.split('\n')).toHaveLength(head + 1);
  let [cursor, read] = ['', ''];
  for (let asks = 0; read.length < whole.stdout.length && asks < 20; asks += 1) {
    const some = await remote('--limit', '97', '--last-line', ...(cursor === '' ? [] : ['--cursor', cursor]));
    const lines = some.stdout.trimEnd().split('\n');
    cursor = JSON.parse(lines.pop() ?? '').next_cursor;
    read += lines.map((line) => `${line}\n`).join('');
  }
  expect(read).toBe(whole.stdout);
});

test('a wrong token is refused, and what it needs is said', async () => {
  const wrong = await runInProcess(['feed', '--url', served.server.url], {
    ORGTRAIL_FEED_TOKEN: 'a-token-that-is-wrong',
  });
  expect(wrong).toMatchObject({ code: 2, stdout: '' });
  expect(wrong.stderr).toMatch(/answered 401: .*\nTry: give a token with the scope feed by --token-file/);
});

test('--follow over a network that cuts answers off: every event once, in order, and a new one as soon as it is stored', async () => {
  const wanted = (await local()).stdout;
  // Of the first answers, so many bytes pass.
  const limits = [300, 70_000, 20];
  let cuts = 0;
  const proxy = createServer((near) => {
    const far = connect(Number(new URL(served.server.url).port), '127.0.0.1');
    const limit = limits.shift();
    let passed = 0;
    const reset = () => {
      for (const socket of [near, far]) socket.resetAndDestroy();
    };
    for (const socket of [near, far]) socket.on('error', reset);
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      const rest = limit === undefined ? chunk.length : limit - passed;
      passed += chunk.length;
      near.write(chunk.subarray(0, rest), () => {
        if (rest < chunk.length) setImmediate(reset);
      });
      if (rest < chunk.length) {
        cuts += 1;
        far.pause();
      }
    });
    far.on('end', () => near.end());
  });
  await using listening = await listen(proxy);
  const follower = startInProcess(['feed', '--url', `http://127.0.0.1:${listening.port}`, '--follow', '--last-line'], {
    ORGTRAIL_FEED_TOKEN: feedToken,
  });
  await until('all is read', async () => follower.stdout().length >= wanted.length);
  expect(follower.stdout()).toBe(wanted);
  expect(cuts).toBe(3);
  world.simulator.append(world.simulator.summary().organizations[0]?.id ?? '', [
    JSON.stringify({ id: 'late', action: { time: new Date().toISOString(), type: 'create' } }),
  ]);
  await until('the new one has come', async () => {
    await run.cycle();
    return follower.stdout().includes('"id":"late"');
  });
  follower.stop();
  expect(await follower.ended).toBe(0);
  const lines = follower.stdout().trimEnd().split('\n');
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ next_position: head + 1 });
  expect(lines).toHaveLength(head + 2);
  expect(follower.stderr().match(/no answer, trying again/g)).toHaveLength(3);
});
