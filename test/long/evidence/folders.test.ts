import { execFileSync } from 'node:child_process';
import { copyFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { BundleRoom, judge } from '../../support/evidence/exported-bundle.ts';
import { writeBundle } from '../../support/evidence/stored-bundle.ts';
import { usualHistory } from '../../support/evidence/test-history.ts';
import { hasPython } from '../../support/evidence/two-verifiers.ts';

/* What a folder may have that a bundle in memory has not. */

describe.skipIf(!hasPython())('both verifiers, of a folder', () => {
  let room: BundleRoom;
  let folder: string;
  beforeEach(async () => {
    room = new BundleRoom();
    folder = room.next();
    await writeBundle(folder, usualHistory().bundle());
    return () => room[Symbol.dispose]();
  });
  const at = (path: string): string => join(folder, path);

  /** Moved out of the bundle, and a link to it in its place. */
  const linked = (path: string): void => {
    const elsewhere = room.next();
    renameSync(at(path), elsewhere);
    symlinkSync(elsewhere, at(path));
  };

  test.each<[what: string, path: string, change: () => void]>([
    ['a file of payload', 'events/payload/000000.oev', () => linked('events/payload/000000.oev')],
    ['a tile', 'journal/tile/0/000.p/9', () => linked('journal/tile/0/000.p/9')],
    ['a checkpoint', 'events/checkpoint', () => linked('events/checkpoint')],
    ['the folder of a log', 'events', () => linked('events')],
    ['a file within the bundle', 'copy', () => symlinkSync('policy.txt', at('copy'))],
    ['nothing', 'loose', () => symlinkSync('nowhere', at('loose'))],
    ['itself', 'round', () => symlinkSync('.', at('round'))],
  ])('refuse a link to %s', async (_what, path, change) => {
    expect(named(await judge(folder))).toEqual([]);
    change();
    const wanted = `${path} is a link, or no file: what it leads to is not in the bundle`;
    expect(named(await judge(folder))).toEqual([
      [expect.arrayContaining([wanted]), false],
      [expect.arrayContaining([wanted]), false],
    ]);
  });

  test('do not wait for a pipe', async () => {
    rmSync(at('policy.txt'));
    for (const path of ['policy.txt', 'README.txt', 'other']) execFileSync('bash', ['-c', 'mkfifo "$0"', at(path)]);
    const { node, python } = await judge(folder);
    const wanted = expect.arrayContaining([expect.stringContaining('other is a link, or no file')]);
    expect([node.faults, python.faults]).toEqual([wanted, wanted]);
  });

  test('read a folder that a link leads to', async () => {
    const other = room.next();
    symlinkSync(folder, other);
    copyFileSync(at('policy.txt'), at('notes-of-an-auditor'));
    expect(named(await judge(other))).toEqual([]);
  });
});

/** Of each verifier that finds faults. */
const named = ({ node, python }: Awaited<ReturnType<typeof judge>>) =>
  [node, python].flatMap(({ faults, holds }) => (holds ? [] : [[faults, holds]]));
