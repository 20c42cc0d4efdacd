import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ATTACK_DETECTIONS } from '../../../src/cli/demo/attack.sql.ts';
import { freePorts } from '../../support/network/free-ports.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';

describe.concurrent('demo', () => {
  test('goes on when more requests were sent than Cloudflare allows in five minutes; Ctrl-C then ends with the exact verdict and 0', async ({
    onTestFinished,
  }) => {
    const [port = 0] = await freePorts(1);
    const demo = startDemo([], { ORGTRAIL_HTTP_PORT: String(port) }, onTestFinished);
    await demo.waitFor('Cloudflare (simulated)');
    const consoleUrl = addressOf(demo, 'console');
    expect(consoleUrl).toBe(`http://127.0.0.1:${port}/`);
    expect((await fetch(addressOf(demo, 'evidence'))).status).toBe(200);
    await until('everything is up to date', () => isUpToDate(consoleUrl));

    const statuses = await spendRequests(addressOf(demo, 'Cloudflare \\(simulated\\)'));
    expect(statuses.filter((status) => status === 429)).toEqual([]);
    // Each organization is read again after that, and not only once.
    await until('all of it was read after the last request', async () => {
      const { sources } = await healthOf(consoleUrl);
      return sources.every(({ lag_seconds }) => lag_seconds < 10);
    });
    await demo.waitFor('6 organizations, 12 accounts up to date · ');

    demo.child.kill('SIGINT');
    await demo.waitFor('Ctrl-C again exits immediately');
    expect(await demo.ended, demo.stdout() + demo.stderr()).toBe(0);
    // Each detection that the attack raises is shown once, with a link to its event.
    expect(demo.stdout()).not.toContain('"level":"error"');
    const alarms = [...demo.stdout().matchAll(/^ {2}(?:medium|high) +(\w+) +(\S+)$/gm)];
    expect(alarms.map(([, detection]) => detection).sort()).toEqual(ATTACK_DETECTIONS);
    for (const [, , link] of alarms) expect(link).toMatch(new RegExp(`^${consoleUrl}events/\\d+$`));
    expect(demo.stdout()).toMatch(/^accounts +12 +12$/m);
    expect(demo.stdout()).toContain('missing 0 · extra 0 · stored twice 0 · positions missing 0');
    expect(demo.stdout().trimEnd().split('\n').at(-1)).toBe(
      'Every event of every organization and account is stored, once each, to the byte.',
    );
  });

  test('a second Ctrl-C leaves at once: no server and no directory stay behind', async ({ onTestFinished }) => {
    const directory = await mkdtemp(join(tmpdir(), 'orgtrail-demo-test-'));
    // --port wins over a setting that could not be used.
    const env = { TMPDIR: directory, ORGTRAIL_HTTP_PORT: 'no port' };
    const demo = startDemo(['--port', '0'], env, onTestFinished);
    await demo.waitFor('Cloudflare (simulated)');
    const sqlPort = /127\.0\.0\.1:(\d+)\/orgtrail/.exec(demo.stdout())?.[1];
    expect(await readdir(directory)).toEqual([expect.stringMatching(/^orgtrail-demo-/)]);
    demo.child.kill('SIGINT');
    await demo.waitFor('Ctrl-C again exits immediately');
    // Within a second of the first it is taken for the same one, which npm has passed on.
    while (demo.child.exitCode === null && !demo.stderr().includes('exiting immediately')) {
      demo.child.kill('SIGINT');
      await sleep(100);
    }
    expect(await demo.ended).toBe(130);
    expect(demo.stdout()).not.toContain('missing 0');
    expect(demo.stderr().trim()).toBe('orgtrail: exiting immediately');
    expect(await readdir(directory)).toEqual([]);
    await expect(fetch(`http://127.0.0.1:${sqlPort}/`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    await rm(directory, { recursive: true });
  });

  test('a reader that goes away ends it, and no server and no directory stay behind', async ({ onTestFinished }) => {
    const directory = await mkdtemp(join(tmpdir(), 'orgtrail-demo-test-'));
    const demo = startDemo(['--port', '0'], { TMPDIR: directory }, onTestFinished);
    await demo.waitFor('Cloudflare (simulated)');
    demo.child.stdout?.destroy();
    expect(await demo.ended).toBe(0);
    expect(await readdir(directory)).toEqual([]);
    await rm(directory, { recursive: true });
  });

  test.each(['abc', '65536', '-1'])('--port %s is blamed on --port', async (port) => {
    const { code, stderr } = await runInProcess(['demo', `--port=${port}`], {});
    expect(code).toBe(2);
    expect(stderr).toContain(`--port must be an integer between 0 and 65535, not "${port}"`);
  });
});

/** Cloudflare's limit for one credential in five minutes, and some more: the demo itself needs 80 s for as many. */
const REQUESTS = 1_300;
/** Of 6 organizations and 12 accounts. */
const LOGS = 18;

const addressOf = (demo: OrgtrailProcess, label: string): string =>
  new RegExp(`^ {2}${label} +(\\S+)$`, 'm').exec(demo.stdout())?.[1] ?? '';

interface Health {
  readonly status: string;
  readonly sources: readonly { readonly state: string; readonly lag_seconds: number }[];
}

const healthOf = async (consoleUrl: string): Promise<Health> =>
  (await (await fetch(new URL('healthz', consoleUrl))).json()) as Health;

const isUpToDate = async (consoleUrl: string): Promise<boolean> => {
  const { sources } = await healthOf(consoleUrl);
  return sources.length === LOGS && sources.every(({ state }) => state === 'fresh' || state === 'quiet');
};

/** As many at once as the daemon has workers. */
const spendRequests = async (apiUrl: string): Promise<readonly number[]> => {
  const headers = { authorization: 'Bearer demo-token-of-the-simulator' };
  const statuses: number[] = [];
  const worker = async () => {
    while (statuses.length < REQUESTS) {
      // Some responses of the demo's Cloudflare are cut off, on purpose.
      const response = await fetch(`${apiUrl}/organizations?page_size=1`, { headers }).catch(() => undefined);
      statuses.push(response?.status ?? 0);
      await response?.arrayBuffer().catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return statuses;
};

/** Ended with its test, also where that fails: by a second signal, which cleans up. */
const startDemo = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  onTestFinished: (end: () => Promise<void>) => void,
): OrgtrailProcess => {
  const demo = startOrgtrail(['demo', ...args], env);
  onTestFinished(async () => {
    if (demo.child.exitCode !== null) return;
    demo.child.kill('SIGTERM');
    demo.child.kill('SIGINT');
    await demo.ended;
  });
  return demo;
};
