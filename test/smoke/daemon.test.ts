import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { sendTrue, startDistortedApi } from '../support/network/distorted-api.ts';
import { addressOf, byWayOf, startTcpProxy } from '../support/network/tcp-proxy.ts';
import { type OrgtrailProcess, startOrgtrail } from '../support/process/orgtrail-process.ts';
import { until } from '../support/process/until.ts';
import { auditRequests, openWorld, type SyncWorld } from '../support/sync/sync-world.ts';

describe.concurrent('run, told to stop', () => {
  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)(
    '%s during a slow page: the page is finished and committed, no other begun, exit %i',
    async (signal, code) => {
      await using held = await daemonInPage(3);
      const { world, daemon } = held;
      daemon.child.kill(signal);
      await daemon.waitFor('"msg":"stopping"');
      held.release();
      expect(await daemon.ended, daemon.stderr()).toBe(code);
      expect(daemon.stdout()).toMatch(/"msg":"stopping"[\s\S]*"msg":"stopped"/);
      expect(auditRequests(world.simulator)).toHaveLength(3);
      // Both pages of the first look, and one of what is older.
      const comparison = await world.compare();
      expect(comparison).toMatchObject({ extra: 0, positionsMissing: 0, stored: 3 * PAGE });
      const { rows } = await world.database.pool.query(
        `select (state #>> '{walk,pages}')::integer as pages, lease_until from lanes, sources where lane = 'backfill'`,
      );
      expect(rows).toEqual([{ pages: 1, lease_until: null }]);
    },
  );

  test('SIGTERM during a page that never ends: leaves anyway, before the page is given up', async () => {
    await using held = await daemonInPage(1);
    const { daemon } = held;
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toBe(143);
    const timeOf = (message: string) =>
      Number(
        new Date(
          JSON.parse(
            daemon
              .stdout()
              .split('\n')
              .find((line) => line.includes(`"msg":"${message}"`)) ?? '{}',
          ).time,
        ),
      );
    // It does within 10 s, if it is given some time to run; the page is given up after two minutes.
    expect(timeOf('stopped') - timeOf('stopping')).toBeLessThan(60_000);
  });

  test('a second signal leaves at once', async () => {
    await using held = await daemonInPage(1);
    const { daemon } = held;
    daemon.child.kill('SIGTERM');
    await daemon.waitFor('"msg":"stopping"');
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toBe(143);
    expect(daemon.stdout(), 'the page is not waited for').not.toContain('"msg":"stopped"');
  });
});

describe.concurrent('run and its database', () => {
  test('down at start, and told to stop: leaves without waiting for it', async () => {
    const env = { CLOUDFLARE_API_TOKEN: 'token-of-the-test', DATABASE_URL: 'postgres://x@127.0.0.1:1/x' };
    const daemon = startOrgtrail(['run'], { ...env, ORGTRAIL_HTTP_PORT: '0' });
    await daemon.waitFor('waiting for the database; giving up in ');
    daemon.child.kill('SIGTERM');
    // Had it waited on, it would say what is wrong, and exit 4.
    expect(await daemon.ended).toBe(143);
    expect(daemon.stderr()).toBe('');
  });

  test('up only after a while: the daemon goes on with it', async () => {
    await using world = await openWorld();
    await using proxy = await startTcpProxy(addressOf(world.database.url), { cut: true });
    const env = { ...world.env, DATABASE_URL: byWayOf(proxy, world.database.daemonUrl), ORGTRAIL_HTTP_PORT: '0' };
    const daemon = startOrgtrail(['run'], env);
    await daemon.waitFor('waiting for the database; giving up in ');
    await proxy.restore();
    await daemon.waitFor('orgtrail started');
    await until('all of it is stored', async () => (await world.compare()).missing === 0);
    const asked = await world.database.pool.query('select from finding_head where began_at = 0');
    expect(asked.rowCount, 'rules are asked without a sink').toBe(1);
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toBe(143);
  });

  test('restarted under a running daemon: not ready meanwhile, then everything is read, once each', async () => {
    await using world = await openWorld();
    await using proxy = await startTcpProxy(addressOf(world.database.url));
    const env = {
      ...world.env,
      DATABASE_URL: byWayOf(proxy, world.database.daemonUrl),
      ORGTRAIL_SCHEDULE: '* * * * * *',
      ORGTRAIL_HTTP_PORT: '0',
    };
    const daemon = startOrgtrail(['run'], env);
    await daemon.waitFor('orgtrail started');
    const url = /"url":"([^"]+)"/.exec(daemon.stdout())?.[1] ?? '';
    const readiness = async () => (await fetch(`${url}/readyz`)).status;
    await until('all of it is stored', async () => (await world.compare()).missing === 0);
    await until('it is ready', async () => (await readiness()) === 200);
    // As a server says goodbye that shuts down, and then is not there for a while.
    await world.database.pool.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await proxy.cut();
    await daemon.waitFor('sync failed');
    expect(await readiness()).toBe(503);
    expect((await fetch(`${url}/livez`, { method: 'HEAD' })).status).toBe(200);
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 25);
    await proxy.restore();
    await until('what came meanwhile is stored', async () => (await world.compare()).stored === 675);
    await until('it is ready again', async () => (await readiness()) === 200);
    await world.expectExactTruth();
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended, daemon.stderr()).toBe(143);
    expect(daemon.stdout() + daemon.stderr()).not.toContain(world.env['CLOUDFLARE_API_TOKEN']);
  });

  test('a port that is taken: says so, and leaves nothing running', async () => {
    await using world = await openWorld({ organizations: 1, entries: 0 });
    const port = new URL(world.simulator.baseUrl).port;
    const daemon = startOrgtrail(['run'], { ...world.env, ORGTRAIL_HTTP_PORT: port });
    expect(await daemon.ended).toBe(2);
    expect(daemon.stderr()).toMatch(
      new RegExp(`port ${port} is in use on \\S+ \\(EADDRINUSE\\).*\\nTry: set ORGTRAIL_HTTP_PORT`),
    );
    expect(daemon.stderr()).not.toMatch(/\n\s+at /);
  });
});

const PAGE = 20;

interface Held extends AsyncDisposable {
  readonly world: SyncWorld;
  readonly daemon: OrgtrailProcess;
  /** Lets the answer come, and all after it. */
  release(): void;
}

/**
 * One organization, and a daemon that waits for the answer to this request for a page of its log: 1 for the first. Now and
 * then a space of it comes, so that no time-out but that of the whole attempt, two minutes, ends the wait.
 */
const daemonInPage = async (page: number): Promise<Held> => {
  const stack = new AsyncDisposableStack();
  // Less than ten entries an hour: the end of the first look is beyond doubt.
  const world = stack.use(await openWorld({ organizations: 1, entries: 250, pageCap: PAGE }));
  const front = stack.use(await startDistortedApi(world.simulator.baseUrl));
  const [asked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  front.distort(async ({ answer, response }) => {
    if (front.distorted < page) return sendTrue(response, answer);
    asked.resolve();
    response.writeHead(answer.status, answer.headers);
    const trickle = setInterval(() => response.write(' '), 1_000);
    await Promise.race([released.promise, once(response, 'close')]);
    clearInterval(trickle);
    response.end(answer.body);
  });
  // One tick at the start, and then none: in a second one the newest time would be asked for again, before the page that is waited for.
  const oneTick = { ORGTRAIL_SCHEDULE: '0 0 0 29 2 *', ORGTRAIL_HTTP_PORT: '0' };
  const env = { ...world.env, ...oneTick, CLOUDFLARE_BASE_URL: front.baseUrl };
  const daemon = startOrgtrail(['run'], env);
  stack.defer(() => {
    daemon.child.kill('SIGKILL');
    released.resolve();
  });
  await asked.promise;
  return { world, daemon, release: released.resolve, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};
