import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { judgementOf, judgementText, verifyByPython, verifyDemoEvidence } from '../../../src/cli/demo/evidence.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { hasPython } from '../../support/evidence/judge.ts';

const never = new AbortController().signal;

/** Of the demo: it has the folder of the anchor. */
let directory: string;
const world = worldOfAllTests(async () => {
  directory = await mkdtemp(join(tmpdir(), 'orgtrail-demo-evidence-'));
  await world.addEvents(40, 'event');
  const anchor = join(directory, 'evidence-anchor');
  await mkdir(anchor);
  const builder = openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(anchor)]);
  await builder.build();
  await builder.anchor();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const made of ['evidence-bundle', 'programs']) await rm(join(directory, made), { recursive: true, force: true });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.runIf(hasPython())('what the demo shows of its evidence', () => {
  test('is a bundle, and a line of each verifier', async () => {
    const { agrees, lines } = await verify();
    expect(lines).toEqual([
      expect.stringMatching(/^exported {4}40 events and \d+ statements, 1 MB, signed since the start · \d/),
      expect.stringMatching(/^orgtrail {4}40 events: holds, and goes on from the checkpoint at the anchor · \d/),
      expect.stringMatching(/^verify\.py {3}40 events: holds, and goes on from the checkpoint at the anchor · \d/),
    ]);
    expect(agrees).toBe(true);
  });

  test('without python3 is said to be verified once, and that is no failure; python3 alone is enough', async () => {
    const folder = await pythonAlone();
    vi.stubEnv('PATH', directory);
    const without = await verify();
    expect(without.agrees).toBe(true);
    expect(without.lines[2]).toMatch(/^verify\.py {3}skipped: there is no python3 here · /);
    await rm(join(directory, 'evidence-bundle'), { recursive: true });
    vi.stubEnv('PATH', folder);
    const alone = await verify();
    expect(alone.lines[2]).toMatch(/^verify\.py {3}40 events: holds/);
  });

  test('fails if a verifier finds a fault', async () => {
    await verify();
    const folder = join(directory, 'evidence-bundle');
    await using payload = await open(join(folder, 'leaves/000000.bin'), 'r+');
    await payload.write('x', 1_000);
    const judgement = await verifyByPython(folder, undefined, never);
    expect(judgement).toMatchObject({ outcome: 'fails', fault: expect.any(String) });
    expect(judgementText(judgement)).toMatch(/^\d+ events: does NOT hold: \S/);
  });

  test('fails if what is stored is not what was signed, and there is no bundle', async () => {
    await world.pool.query(`update audit_events set raw = '{"changed": true}' where position = 7`);
    const { agrees, lines } = await verify();
    expect(agrees).toBe(false);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^exported {4}nothing: what is stored is not what was signed/);
    expect(await readdir(directory)).toEqual(['evidence-anchor']);
  });
});

test('a verifier that ends otherwise than it should has failed, and is not skipped', () => {
  const ended = (code: number, stderr = '', stdout = '') => judgementOf({ code, stdout, stderr });
  expect(ended(1, 'Traceback …\nMemoryError')).toMatchObject({ outcome: 'fails', fault: 'MemoryError' });
  expect(ended(1, 'verify: could not verify: [Errno 28] No space left')).toMatchObject({ outcome: 'fails' });
  expect(ended(-1)).toMatchObject({ outcome: 'fails', fault: 'it ended with -1' });
  expect(ended(0, '', '{"holds": false, "faults": []}')).toMatchObject({ outcome: 'fails' });
});

const verify = async () => {
  const written: string[] = [];
  const stdout = { write: (text: string) => written.push(text) > 0 };
  const agrees = await verifyDemoEvidence(world.pool, { directory, stdout, signal: never });
  const [empty, title, ...lines] = written.join('').trimEnd().split('\n');
  expect([empty, title]).toEqual(['', 'Evidence, as an auditor gets it:']);
  return { agrees, lines: lines.map((line) => line.trim()) };
};

/** A folder for programs that has Python alone. */
const pythonAlone = async (): Promise<string> => {
  const folder = join(directory, 'programs');
  await mkdir(folder);
  const found = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).stdout.trim();
  await symlink(await realpath(found), join(folder, 'python3'));
  return folder;
};
