import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { judge } from '../../support/evidence/judge.ts';
import { openSigningWorld, type SigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 2, entries: 100 }));
let env: SigningWorld['env'];
let operator: SigningWorld['env'];
beforeEach(async () => {
  env = { ...signing.env, ORGTRAIL_EVIDENCE_KEY_FILE: key(1) };
  operator = { ...env, DATABASE_URL: signing.world.database.url };
  await runOrgtrail(['evidence', 'init'], env);
});

test('a key is rotated beside daemons: none but a process with both keys signs meanwhile, and then one with the new key', async () => {
  const old = await startDaemonProcess(env);
  await signing.untilSigned({ keys: 1 });
  const early = await rotate('rotation', 2, '--no-wait', '--json');
  expect(early).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(early.stdout)).toMatchObject({ made: true, signed: false });
  await old.process.waitFor('another key of the evidence is ordered');
  signing.grow(20);
  await signing.untilSigned({ keys: 1 });
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^key +another one is ordered \(rotation\)/m);

  const both = await startDaemonProcess(withKeys(1, 2));
  await both.process.waitFor('the evidence has another key from now on');
  await old.process.waitFor('this process has only the old one');
  signing.grow(20);
  await signing.untilSigned({ keys: 2 });
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(
    /^keys +the one before may sign until \S+Z$/m,
  );
  expect((await both.health()).evidence.old_key_until).toMatch(/Z$/);
  expect(await exported('overlap', env)).toHaveLength(2);
  const again = await rotate('rotation', 3);
  expect(again).toMatchObject({ code: 2, stdout: '' });
  expect(again.stderr).toContain('the last rotation is not over: the key before may sign until');
  expect(await old.stop()).toBe(143);
  expect(await both.stop()).toBe(143);
  // The old key is gone before its time.
  await using after = await startDaemonProcess(withKeys(2));
  signing.grow(20);
  await signing.untilSigned({ keys: 1 });
  expect(await exported('after', withKeys(2))).toHaveLength(1);
  expect((await runOrgtrail(['evidence', 'verify'], withKeys(2))).code).toBe(0);
  expect((await runOrgtrail(['evidence', 'verify'], env)).code).toBe(5);
  expect((await runOrgtrail(['evidence', 'key'], env)).stderr).toContain('the log names another key');
  const shown = await runOrgtrail(['evidence', 'key', '--json'], withKeys(2));
  expect(JSON.parse(shown.stdout)).toMatchObject({
    from: 'key file',
    old_signs_until: expect.any(String),
    ordered: null,
  });

  const stolen = await Promise.all([
    rotate('compromised', 4, '--json'),
    after.process.waitFor('this process has not the new one').then(async () => await startDaemonProcess(withKeys(4))),
  ]);
  expect(stolen[0]).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(stolen[0].stdout)).toMatchObject({ signed: true, old_signs_until: null });
  expect(await exported('stolen', withKeys(4))).toHaveLength(1);
  expect(await stolen[1].stop()).toBe(143);
  const { rows } = await signing.world.database.pool.query(
    `select who, what ->> 'reason' as reason from access_log where route = 'evidence key' order by id`,
  );
  expect(rows).toEqual(['rotation', 'compromised'].map((reason) => ({ who: 'J. Doe', reason })));
});

test('a wrong use is refused', async () => {
  const because = (reason: string) => ['--rotate', '--reason', reason, '--by', 'x'];
  const [rotation, loss] = [because('rotation'), because('lost')];
  for (const [what, args, message] of [
    ['without a reason', ['--rotate', '--by', 'x'], '--rotate needs --reason and --by'],
    ['without a name', ['--rotate', '--reason', 'lost'], '--rotate needs --reason and --by'],
    ['a reason alone', ['--reason', 'lost'], 'are for --rotate'],
    ['without a new key', rotation, 'which key is the new one?'],
    ['the same key', loss, 'this is the key that signs already'],
    ['an overlap of a loss', [...loss, '--overlap', '1d'], '--overlap is for a rotation'],
    ['an overlap that is none', [...rotation, '--overlap', 'soon'], 'is not a duration'],
    ['a file that is no key', [...rotation, '--new-key', '/etc/hostname'], '--new-key: the file'],
  ] as const) {
    const refused = await runOrgtrail(['evidence', 'key', ...args], operator);
    expect(refused, what).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr, what).toContain(message);
  }
});

test('an account that does not own the schema orders nothing', async () => {
  const refused = await runOrgtrail(
    ['evidence', 'key', '--rotate', '--reason', 'rotation', '--by', 'x', '--new-key', key(2)],
    env,
  );
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('permission denied for function orgtrail_order_evidence_key');
});

const key = (number: number) => join(signing.folder, `key-${number}.pem`);

const withKeys = (first: number, next?: number) => ({
  ...env,
  ORGTRAIL_EVIDENCE_KEY_FILE: key(first),
  ...(next !== undefined && { ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: key(next) }),
});

const rotate = (reason: string, number: number, ...more: readonly string[]) =>
  runOrgtrail(
    ['evidence', 'key', '--rotate', '--reason', reason, '--by', 'J. Doe', '--new-key', key(number), ...more],
    operator,
  );

/** Exports with this environment; both verifiers hold the bundle. Gives the keys of its policy. */
const exported = async (name: string, of: Readonly<Record<string, string>>) => {
  const bundle = join(signing.folder, name);
  const made = await runOrgtrail(['evidence', 'export', bundle], of);
  expect(made).toMatchObject({ code: 0 });
  const { node, python } = await judge(bundle);
  expect([node.faults, python.faults]).toEqual([[], []]);
  return (await readFile(join(bundle, 'policy.txt'), 'utf8')).match(/^log \S+/gm) ?? [];
};
