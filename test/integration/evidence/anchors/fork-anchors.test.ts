import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { LogSigner } from '../../../../src/evidence/builder/ports.ts';
import { signerOfFile } from '../../../../src/evidence/keys.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { worldOfEachTest } from '../../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../../support/evidence/rewind.ts';
import { runInProcess } from '../../../support/process/run-in-process.ts';

const world = worldOfEachTest();
let env: Record<string, string>;
let signer: LogSigner;
/** Of the anchor. */
let directory: string;

beforeEach(async () => {
  const { folder } = world.room;
  directory = join(folder, 'anchor');
  await mkdir(directory);
  env = {
    DATABASE_URL: world.database.url,
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_ANCHORS: `file:${directory}`,
  };
  expect(await runInProcess(['evidence', 'init'], env)).toMatchObject({ code: 0 });
  signer = signerOfFile(join(folder, 'key.pem'));
});

test('a fork reads the anchors of the settings: what was given out and lost, and where the histories part', async () => {
  const first = open('first-host/1/x');
  await anchorEach(first, [100, 100], 'first');
  const rewind = await rememberForRewind(world.pool);
  await anchorEach(
    first,
    Array.from({ length: 22 }, () => 10),
    'lost',
  );
  await rewind();
  // Without the anchor it signs what is not of the old history: at 205, between what parts, and at 600.
  const blind = open('blind-host/1/x', false);
  await world.addEvents(5, 'other');
  expect(await blind.build()).toMatchObject({ kind: 'done', size: 205 });
  await world.addEvents(395, 'more');
  expect(await blind.build()).toMatchObject({ kind: 'done', size: 600 });
  await world.stop();
  const made = await fork();
  expect(made).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(made.stdout)).toMatchObject({ generation: 2, size: 600, common_size: 200, known_size: 600 });
});

test('the number of a generation that was lost is not given again', async () => {
  const builder = open('first-host/1/x');
  await anchorEach(builder, [100], 'first');
  const rewind = await rememberForRewind(world.pool);
  await world.stop();
  expect(JSON.parse((await fork()).stdout)).toMatchObject({ generation: 2 });
  const second = open('second-host/1/x');
  await second.build();
  await second.anchor();
  expect(await readdir(join(directory, 'generation-2/events/checkpoints'))).toHaveLength(1);
  await rewind();
  await world.stop();
  const { stdout, code } = await fork();
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ generation: 3, common_size: 100 });
});

test('an anchor that cannot be read, or that these settings lack, stops the command unless it is left out by name', async () => {
  const builder = open('first-host/1/x');
  await anchorEach(builder, [100], 'first');
  await world.stop();
  const without = env['ORGTRAIL_EVIDENCE_ANCHORS'] ?? '';
  env['ORGTRAIL_EVIDENCE_ANCHORS'] = '';
  const lacking = await fork();
  expect(lacking).toMatchObject({ code: 2, stdout: '' });
  expect(lacking.stderr).toContain(`the daemon has the anchor ${without}, and ORGTRAIL_EVIDENCE_ANCHORS here has not`);
  env['ORGTRAIL_EVIDENCE_ANCHORS'] = without;
  await rm(directory, { recursive: true });
  const unread = await fork();
  expect(unread).toMatchObject({ code: 2, stdout: '' });
  expect(unread.stderr).toContain(`the anchor ${without} cannot be read: ENOENT`);
  const misspelt = await fork('--without-anchor', 'file:/else');
  expect(misspelt.stderr).toContain(`--without-anchor file:/else: there is no such anchor; there are ${without}`);
  expect((await world.pool.query('select from evidence_logs where generation > 1')).rowCount).toBe(0);
  const made = await fork('--without-anchor', without);
  expect(JSON.parse(made.stdout)).toMatchObject({ generation: 2, common_size: 100 });
});

test('what is at the anchor without a signature of the key says nothing', async () => {
  const builder = open('first-host/1/x');
  await anchorEach(builder, [100, 100], 'first');
  const of = (size: number) => join(directory, `events/checkpoints/${String(size).padStart(20, '0')}`);
  for (const size of [50, 150, 900, 901]) await writeFile(of(size), 'no note');
  await mkdir(join(directory, 'generation-5/events/checkpoints'), { recursive: true });
  await copyFile(of(900), join(directory, 'generation-5/events/checkpoints/00000000000000000900'));
  await world.stop();
  expect(JSON.parse((await fork()).stdout)).toMatchObject({ generation: 2, common_size: 200, known_size: 200 });
});

const orders = ['evidence', 'fork', '--reason', 'restored', '--by', 'J. Doe'];

const fork = (...args: readonly string[]) => runInProcess([...orders, '--json', ...args], env);

const open = (owner: string, anchored = true) =>
  openAnchoringBuilder(world.pool, signer, anchored ? [directoryAnchor(directory)] : [], owner);

/** Each signed and at the anchor. */
const anchorEach = async (builder: ReturnType<typeof open>, counts: readonly number[], named: string) => {
  for (const [index, count] of counts.entries()) {
    await world.addEvents(count, `${named}-${index}`);
    await builder.build();
    await builder.anchor();
  }
};
