import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { openSigningWorld, type SigningWorld } from '../../support/evidence/signing-world.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import type { SyncWorld } from '../../support/sync/sync-world.ts';

let opened: SigningWorld;
let world: SyncWorld;
let folder: string;
let env: SigningWorld['env'];

beforeEach(async () => {
  opened = await openSigningWorld({ organizations: 2, entries: 100 });
  ({ world, folder, env } = opened);
});
afterEach(async () => await opened?.[Symbol.asyncDispose]());

test('the next key is one that a command signs with: both sign, then it alone; a fork goes on with it', async () => {
  const operator = { ...env, DATABASE_URL: world.database.url };
  await runOrgtrail(['evidence', 'init'], env);
  const { publicFile, command } = await secondKey();
  const both = { ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: publicFile, ORGTRAIL_EVIDENCE_NEXT_SIGNER: command };
  const kept = join(folder, 'kept');
  {
    await using daemon = await startDaemonProcess({ ...env, ...both });
    await untilSignedBy(1, 100);
    await writeFile(kept, (await runOrgtrail(['evidence', 'checkpoint', '--log', 'events'], env)).stdout);
    const rotate = ['evidence', 'key', '--rotate', '--reason', 'rotation', '--by', 'J. Doe', '--new-key', publicFile];
    expect(await runOrgtrail(rotate, operator)).toMatchObject({ code: 0, stderr: '' });
    await daemon.process.waitFor('the evidence has another key from now on');
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 20);
    await untilSignedBy(2, 140);
    expect((await daemon.get('/metrics')).text).toMatch(/^orgtrail_evidence_key_order_pending 0$/m);
  }
  // The time of both is over.
  await world.database.pool.query(`update evidence_logs set old_key_until = clock_timestamp() - interval '1 second'`);
  const alone = { ORGTRAIL_EVIDENCE_KEY_FILE: publicFile, ORGTRAIL_EVIDENCE_SIGNER: command };
  await world.database.pool.query(`update evidence_logs set state = 'forked', state_reason = 'by this test'`);
  const fork = ['evidence', 'fork', '--reason', 'a test', '--by', 'J. Doe', '--anchor', kept, '--json'];
  const forked = await runOrgtrail(fork, { ...operator, ...alone });
  expect(forked).toMatchObject({ code: 0, stderr: '' });
  const { common_size: common, size } = JSON.parse(forked.stdout);
  expect(common).toBe(size);
  {
    await using _ = await startDaemonProcess({ ...env, ...alone });
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 20);
    await until('the next generation is begun', async () => {
      const { rows } = await world.database.pool.query(
        `select from evidence_checkpoints where generation = 2 and log = 'events'`,
      );
      return rows.length > 0;
    });
    await untilSignedBy(1, 180);
  }
  const bundle = join(folder, 'bundle');
  expect(await runOrgtrail(['evidence', 'export', bundle], { ...env, ...alone })).toMatchObject({ code: 0 });
  const { node, python } = await judge(bundle, [await readFile(kept, 'utf8')]);
  expect([node.faults, python.faults]).toEqual([[], []]);
  expect(node.claims).toContain('are those of anchor 0');
});

test('a command that fails says so in the log of the daemon, and nothing is signed by it', async () => {
  await runOrgtrail(['evidence', 'init'], env);
  const { publicFile } = await secondKey();
  const failing = {
    ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: publicFile,
    ORGTRAIL_EVIDENCE_NEXT_SIGNER: 'echo the token of the HSM has expired >&2; exit 3',
  };
  await using daemon = await startDaemonProcess({ ...env, ...failing });
  await untilSignedBy(1, 100);
  const rotate = ['evidence', 'key', '--rotate', '--reason', 'rotation', '--by', 'J. Doe', '--new-key', publicFile];
  await runOrgtrail([...rotate, '--no-wait'], { ...env, DATABASE_URL: world.database.url });
  await daemon.process.waitFor(
    'the command of ORGTRAIL_EVIDENCE_NEXT_SIGNER ended with 3: the token of the HSM has expired',
  );
  const { rows } = await world.database.pool.query<{ note: string }>('select note from evidence_checkpoints');
  expect(rows.filter(({ note }) => (note.match(/^— /gm)?.length ?? 0) !== 1)).toEqual([]);
});

const OPENSSL = 'openssl';

/** A key that no setting names: its public half, and a program that signs with it, as one that asks an HSM. */
const secondKey = async () => {
  const [secret, publicFile, program] = ['hsm.pem', 'next.pub', 'sign'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  execFileSync(OPENSSL, ['genpkey', '-algorithm', 'ed25519', '-out', secret]);
  execFileSync(OPENSSL, ['pkey', '-in', secret, '-pubout', '-out', publicFile]);
  const lines = ['T=$(mktemp)', 'cat >$T', `openssl pkeyutl -sign -rawin -inkey ${secret} -in $T`, 'rm $T'];
  await writeFile(program, `${['set -e', ...lines].join('\n')}\n`);
  return { publicFile, command: `sh ${program}` };
};

/** So many events are stored, and signed by so many keys. */
const untilSignedBy = async (keys: number, events: number) =>
  await until('all that is served is signed', async () => {
    const { rows } = await world.database.pool.query<{ isSigned: boolean; note: string }>(
      `select l.signed_size = h.position and h.position = $1 as "isSigned", c.note from feed_head h, evidence_logs l
         join evidence_checkpoints c on c.log = l.name and c.generation = l.generation and c.size = l.signed_size
       where l.name = 'events' order by l.generation desc limit 1`,
      [events],
    );
    return rows[0]?.isSigned === true && rows[0].note.match(/^— /gm)?.length === keys;
  });
