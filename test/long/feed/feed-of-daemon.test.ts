import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
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

/** A proxy that changes bodies of the feed, and ends them as if they were whole. */
const listenChanging = (change: (body: Buffer) => Buffer | string) => {
  const forward = async (request: IncomingMessage, response: ServerResponse) => {
    const authorization = request.headers.authorization ?? '';
    const answer = await fetch(`${served.server.url}${request.url}`, { headers: { authorization } });
    const body = Buffer.from(await answer.arrayBuffer());
    const kept = [...answer.headers].filter(([name]) => name.startsWith('orgtrail-'));
    response.writeHead(answer.status, Object.fromEntries(kept)).end(change(body));
  };
  return listen(
    createHttpServer((request, response) => void forward(request, response).catch(() => response.destroy())),
  );
};
const follow = (port: number) =>
  startInProcess(['feed', '--url', `http://127.0.0.1:${port}`, '--follow', '--last-line'], {
    ORGTRAIL_FEED_TOKEN: feedToken,
  });

test('an answer that ends early is cut off, also if its end looks like one', async () => {
  const wanted = (await local()).stdout;
  const cuts = [0.5, 0.7, 1];
  await using proxy = await listenChanging((body) => body.subarray(0, body.length * (cuts.shift() ?? 1)));
  const once = await runInProcess(['feed', '--url', `http://127.0.0.1:${proxy.port}`], {
    ORGTRAIL_FEED_TOKEN: feedToken,
  });
  expect(once).toMatchObject({ code: 4, stderr: expect.stringContaining('the answer was cut off') });
  expect(wanted.startsWith(once.stdout) && once.stdout.endsWith('\n')).toBe(true);
  const follower = follow(proxy.port);
  await until('all is read', async () => follower.stdout().length >= wanted.length);
  expect(follower.stdout()).toBe(wanted);
  follower.stop();
  expect(await follower.ended).toBe(0);
});

test('what comes in another order behind a cut is printed again; a stop says where to go on', async () => {
  const wanted = (await local()).stdout;
  const [first = '', second = ''] = wanted.split('\n');
  const answers = [`${second}\n${first}\n{"position`];
  await using proxy = await listenChanging((body) => answers.shift() ?? body);
  const follower = follow(proxy.port);
  const expected = `${second}\n${wanted}`;
  await until('all is read', async () => follower.stdout().length >= expected.length);
  expect(follower.stdout()).toBe(expected);
  expect(follower.stderr()).toContain('stands in another order now');
  follower.stop();
  expect(await follower.ended).toBe(0);
  const last = JSON.parse(follower.stdout().trimEnd().split('\n').at(-1) ?? '');
  expect(last).toMatchObject({ next_position: wanted.split('\n').length - 1 });
});

test('stopped in the middle of an answer, its last line has the place behind what was printed', async () => {
  const wanted = (await local()).stdout;
  let isFirst = true;
  await using proxy = await listenChanging((body) => {
    const whole = isFirst ? body.subarray(0, body.length / 2) : body;
    isFirst = false;
    return whole;
  });
  const follower = follow(proxy.port);
  await until('it was cut off', async () => follower.stderr().includes('was cut off'));
  follower.stop();
  expect(await follower.ended).toBe(0);
  const lines = follower.stdout().trimEnd().split('\n');
  const { next_position: position, next_cursor: cursor } = JSON.parse(lines.pop() ?? '');
  expect(position).toBe(lines.length);
  const rest = await remote('--cursor', cursor);
  expect(`${lines.join('\n')}\n${rest.stdout}`).toBe(wanted);
});
