import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { judge } from '../../support/evidence/judge.ts';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 2, entries: 100 }));

test('the next key is one that a command signs with: both sign, then it alone; the next log goes on with it', async () => {
  const { world, folder, env, operator } = signing;
  await runOrgtrail(['evidence', 'init'], env);
  const { publicFile, command } = await secondKey();
  const both = { ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: publicFile, ORGTRAIL_EVIDENCE_NEXT_SIGNER: command };
  const kept = join(folder, 'kept');
  {
    await using daemon = await startDaemonProcess({ ...env, ...both });
    await signing.untilSigned({ keys: 1, events: 100 });
    await writeFile(kept, (await runOrgtrail(['evidence', 'checkpoint'], env)).stdout);
    const rotate = ['evidence', 'key', '--rotate', '--reason', 'rotation', '--by', 'J. Doe', '--new-key', publicFile];
    expect(await runOrgtrail(rotate, operator)).toMatchObject({ code: 0, stderr: '' });
    await daemon.process.waitFor('the evidence has another key from now on');
    signing.grow(20);
    await signing.untilSigned({ keys: 2, events: 140 });
    expect((await daemon.get('/metrics')).text).toMatch(/^orgtrail_evidence_key_order_pending 0$/m);
  }
  // The time of both is over.
  await world.database.pool.query(`update evidence_log set old_key_until = clock_timestamp() - interval '1 second'`);
  const alone = { ORGTRAIL_EVIDENCE_KEY_FILE: publicFile, ORGTRAIL_EVIDENCE_SIGNER: command };
  await world.database.pool.query(`update evidence_log set state = 'behind', state_reason = 'by this test'`);
  const next = ['evidence', 'next', '--reason', 'a test', '--by', 'J. Doe', '--anchor', kept, '--json'];
  const begun = await runOrgtrail(next, { ...operator, ...alone });
  expect(begun).toMatchObject({ code: 0, stderr: '' });
  const { carried, known_size: known } = JSON.parse(begun.stdout);
  expect(carried).toBe(known);
  {
    await using _ = await startDaemonProcess({ ...env, ...alone });
    signing.grow(20);
    await until('the next log is signed', async () => {
      const { rows } = await world.database.pool.query('select from evidence_checkpoints where number = 2');
      return rows.length > 0;
    });
    await signing.untilSigned({ keys: 1, events: 180 });
  }
  const bundle = join(folder, 'bundle');
  expect(await runOrgtrail(['evidence', 'export', bundle], { ...env, ...alone })).toMatchObject({ code: 0 });
  const { node, python } = await judge(bundle, [await readFile(kept, 'utf8')]);
  expect([node.faults, python.faults]).toEqual([[], []]);
  expect(node.keptSize).toBeGreaterThan(0);
});

test('a command that fails says so in the log of the daemon, and nothing is signed by it', async () => {
  const { world, env } = signing;
  await runOrgtrail(['evidence', 'init'], env);
  const { publicFile } = await secondKey();
  const failing = {
    ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: publicFile,
    ORGTRAIL_EVIDENCE_NEXT_SIGNER: 'echo the token of the HSM has expired >&2; exit 3',
  };
  await using daemon = await startDaemonProcess({ ...env, ...failing });
  await signing.untilSigned({ keys: 1, events: 100 });
  const rotate = ['evidence', 'key', '--rotate', '--reason', 'rotation', '--by', 'J. Doe', '--new-key', publicFile];
  await runOrgtrail([...rotate, '--no-wait'], { ...env, DATABASE_URL: world.database.url });
  await daemon.process.waitFor(
    'the command of ORGTRAIL_EVIDENCE_NEXT_SIGNER ended with 3: the token of the HSM has expired',
  );
  const { rows } = await world.database.pool.query<{ note: string }>('select note from evidence_checkpoints');
  expect(rows.filter(({ note }) => (note.match(/^— /gm)?.length ?? 0) !== 1)).toEqual([]);
});

/** A key that no setting names: its public half, and a program that signs with it, as one that asks an HSM. */
const secondKey = async () => {
  const at = (name: string) => join(signing.folder, name);
  const [secret, publicFile, program] = [at('hsm.pem'), at('next.pub'), at('sign')];
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', secret]);
  execFileSync('openssl', ['pkey', '-in', secret, '-pubout', '-out', publicFile]);
  const lines = ['T=$(mktemp)', 'cat >$T', `openssl pkeyutl -sign -rawin -inkey ${secret} -in $T`, 'rm $T'];
  await writeFile(program, `${['set -e', ...lines].join('\n')}\n`);
  return { publicFile, command: `sh ${program}` };
};
