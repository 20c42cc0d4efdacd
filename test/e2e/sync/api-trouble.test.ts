import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parseMetrics, sumOf } from '../../support/deploy/metrics-text.ts';
import { type Distort, sendHuge, sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { makeCertificates } from '../../support/network/server-certificates.ts';
import { startTlsGate } from '../../support/network/tls-gate.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { auditRequests, openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const { file } = temporaryFolder();
const has = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0;

describe.skipIf(!has('openssl', 'version')).concurrent('TLS', () => {
  test('a certificate that is self-signed, expired, or of another host: says so, sends nothing, goes on with a good one', async () => {
    await using world = await openWorld();
    await using certificates = await makeCertificates();
    const { authorityFile, selfSigned, expired, otherName, good } = certificates;
    await using gate = await startTlsGate(portOf(world.simulator.baseUrl), selfSigned);
    await using daemon = await startDaemonProcess({
      ...world.env,
      CLOUDFLARE_BASE_URL: `https://localhost:${gate.port}/client/v4`,
      NODE_EXTRA_CA_CERTS: authorityFile,
    });
    await daemon.process.waitFor('DEPTH_ZERO_SELF_SIGNED_CERT');
    gate.show(expired);
    await daemon.process.waitFor('CERT_HAS_EXPIRED');
    gate.show(otherName);
    await daemon.process.waitFor('ERR_TLS_CERT_ALTNAME_INVALID');
    const { discovery } = await daemon.health();
    expect(discovery).toMatchObject({
      state: 'behind',
      age_seconds: null,
      last_error: expect.stringMatching(/^GET \/organizations: /),
    });
    expect(world.simulator.requestCount, 'nothing, the credential least of all').toBe(0);

    gate.show(good);
    await until('all of it is stored', isStored(world, 600));
    gate.show(expired);
    generate(world, 5);
    await until('the sources fail', async () => (await daemon.get('/healthz')).text.includes('CERT_HAS_EXPIRED'));
    gate.show(good);
    await until('what came meanwhile is stored', isStored(world, 615));
    await world.expectExactTruth();
    expect(await daemon.stop()).toBe(143);
  });

  test('of an authority that Node does not know: check names NODE_EXTRA_CA_CERTS, and with it all is well', async () => {
    await using world = await openWorld();
    await using certificates = await makeCertificates();
    await using gate = await startTlsGate(portOf(world.simulator.baseUrl), certificates.good);
    const env = { ...world.env, CLOUDFLARE_BASE_URL: `https://localhost:${gate.port}/client/v4` };
    const without = await runOrgtrail(['check'], env);
    expect(without.code).toBe(4);
    expect(without.stdout + without.stderr).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE[\s\S]*NODE_EXTRA_CA_CERTS/);
    expect(world.simulator.requestCount).toBe(0);
    const withIt = await runOrgtrail(['check'], { ...env, NODE_EXTRA_CA_CERTS: certificates.authorityFile });
    expect(withIt, withIt.stdout).toMatchObject({ code: 0 });
  });
});

describe.concurrent('names', () => {
  test('a host that does not resolve: alive, says so, asks no more than it should', async () => {
    await using world = await openWorld({ organizations: 1, entries: 0 });
    const base = 'http://no-such-host.invalid:8080/client/v4';
    await using daemon = await startDaemonProcess({ ...world.env, CLOUDFLARE_BASE_URL: base });
    await daemon.process.waitFor('listing organizations failed');
    expect(daemon.process.stdout()).toMatch(
      /"reason":"GET \/organizations: (ENOTFOUND|EAI_AGAIN)[^"]*no-such-host\.invalid/,
    );
    expect((await daemon.get('/livez')).code).toBe(200);
    // Stored events can still be read.
    expect((await daemon.get('/readyz')).code).toBe(200);
    expect((await daemon.get('/healthz')).text).toContain('no-such-host.invalid');
    expect(await daemon.stop()).toBe(143);
  });

  // With a hosts file of its own, which takes a mount namespace: for root, or where users may have one.
  test.skipIf(!has('unshare', '--mount', 'true'))(
    'a host that resolves only later, and not for a while: goes on',
    async () => {
      await using world = await openWorld();
      const system = await readFile('/etc/hosts', 'utf8');
      const hosts = file('hosts', system, 0o644);
      const name = 'api.orgtrail-test.invalid';
      const wrapper = file('node', `#!/bin/sh\nmount --bind ${hosts} /etc/hosts && exec "$@"\n`, 0o755);
      const base = world.simulator.baseUrl.replace('127.0.0.1', name);
      const within = ['unshare', '--mount', wrapper];
      await using daemon = await startDaemonProcess({ ...world.env, CLOUDFLARE_BASE_URL: base }, within);
      await daemon.process.waitFor('ENOTFOUND');
      await writeFile(hosts, `${system}\n127.0.0.1 ${name}\n`);
      await until('all of it is stored', isStored(world, 600));
      expect(await daemon.stop()).toBe(143);
      await world.expectExactTruth();
    },
  );
});

/** Where more than 100 entries are asked for. */
const hugePages =
  (announced: boolean): Distort =>
  ({ url, answer, response }) =>
    Number(url.searchParams.get('limit')) <= 100
      ? sendTrue(response, answer)
      : sendHuge(response, answer, { mebibytes: 100, announced });

describe.concurrent('a body of 100 MB', () => {
  test.each([
    ['announced by its content-length', true, 220],
    ['that just comes', false, 320],
  ])('%s: refused in bounded memory, then smaller pages are asked for', async (_what, announced, mostMb) => {
    await using world = await openWorld({ organizations: 2, entries: 400 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    front.distort(hugePages(announced));
    await using daemon = await startDaemonProcess({ ...world.env, CLOUDFLARE_BASE_URL: front.baseUrl });
    await until('all of it is stored', isStored(world, 400));
    const limits = auditRequests(world.simulator).map(({ query }) => Number(query.get('limit')));
    expect(limits).toContain(1_000);
    expect(Math.min(...limits)).toBeLessThanOrEqual(100);
    const metrics = parseMetrics((await daemon.get('/metrics')).text);
    expect(sumOf(metrics, 'orgtrail_api_requests_total', 'status="too_large"')).toBeGreaterThanOrEqual(2);
    const { peakResidentBytes } = await usageOf(daemon.process.child.pid ?? 0);
    expect(peakResidentBytes / 1_048_576, 'MB').toBeLessThan(mostMb);
    await world.expectExactTruth();
  });
});

const fakeTime = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib']
  .map((directory) => `${directory}/faketime/libfaketimeMT.so.1`)
  .find(existsSync);

const HOUR_MS = 3_600_000;

describe.concurrent('a clock of the host that is an hour wrong', () => {
  /** The daemon's alone if there is libfaketime, else that of Cloudflare and of the database: the relation is the same. */
  test.each([
    ['behind', '-1h', HOUR_MS],
    ['ahead', '+1h', -HOUR_MS],
  ])('%s: everything is read, and nothing of the future claimed', async (_what, shift, offsetMs) => {
    await using world = await openWorld(fakeTime === undefined ? { ownClock: true, clockOffsetMs: offsetMs } : {});
    if (fakeTime === undefined) await world.setClocks(offsetMs);
    const faked: Record<string, string> =
      fakeTime === undefined ? {} : { LD_PRELOAD: fakeTime, FAKETIME: shift, DONT_FAKE_MONOTONIC: '1' };
    await using daemon = await startDaemonProcess({ ...world.env, ...faked });
    await until('all of it is stored', isStored(world, 600));
    if (fakeTime !== undefined) {
      const [, time = ''] = /"time":"([^"]+)"/.exec(daemon.process.stdout()) ?? [];
      expect(Math.abs(Date.now() - Date.parse(time)), 'the clock is faked').toBeGreaterThan(HOUR_MS / 2);
    }
    for (let round = 1; round <= 3; round += 1) {
      generate(world, 4);
      await until(`what came in round ${round} is stored`, isStored(world, 600 + round * 12));
    }
    const { rows } = await world.database.pool.query<{ ms: number }>(
      'select max(extract(epoch from upper(ranges)))::float8 * 1000 as ms from coverage',
    );
    expect(rows[0]?.ms).toBeLessThan(world.simulator.summary().nowMs);
    await world.expectExactTruth();
    expect((await daemon.get('/readyz')).code).toBe(200);
    expect(await daemon.stop()).toBe(143);
  });
});

test('clocks that differ by an hour, and requests that Cloudflare limits, are in /healthz and status', async () => {
  await using world = await openWorld({ clockOffsetMs: HOUR_MS });
  await using daemon = await startDaemonProcess(world.env);
  const shown = async () => {
    const { code, stdout } = await runOrgtrail(['status', '--fail-on', 'behind'], world.env);
    return { health: (await daemon.health()).status, code, stdout };
  };
  await until('all that its clock shows is read', async () => {
    const { sources } = await daemon.health();
    return sources.length === 3 && sources.every(({ state }) => state === 'fresh' || state === 'quiet');
  });
  const clocks = /^behind: clocks differ: the database is (1h|59m .*) behind Cloudflare/m;
  expect(await shown()).toEqual({ health: 'behind', code: 1, stdout: expect.stringMatching(clocks) });
  world.simulator.faults.set({ throttled: { probability: 1 }, retryAfterSeconds: 600 });
  await until('requests wait', async () => {
    const { rowCount } = await world.database.pool.query(
      "select from api_budget where blocked_until > now() + interval '5 minutes'",
    );
    return (rowCount ?? 0) > 0;
  });
  expect((await shown()).stdout).toMatch(/^behind: requests wait: .* more, because Cloudflare limits them/m);
  expect((await daemon.health()).api).toMatchObject({
    state: 'behind',
    troubles: [expect.any(String), expect.any(String)],
  });
});

const portOf = (url: string): number => Number(new URL(url).port);
const isStored = (world: SyncWorld, entries: number) => async () => (await world.compare()).stored === entries;

/** New entries in every organization; they lie inside the second that a walk leaves for the next. */
const generate = (world: SyncWorld, count: number): void => {
  for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, count);
};
