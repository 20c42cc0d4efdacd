import { execFileSync } from 'node:child_process';
import { copyFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { BundleRoom, judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { hasPython, writeFiles } from '../../support/evidence/bundles/two-verifiers.ts';
import { usualHistory } from '../../support/evidence/test-history.ts';

/* What a folder may have that a bundle in memory has not. */

describe.skipIf(!hasPython())('both verifiers, of a folder', () => {
  let room: BundleRoom;
  let folder: string;
  beforeEach(() => {
    room = new BundleRoom();
    folder = room.next();
    writeFiles(folder, usualHistory().bundle());
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

  const payload = 'events/payload/000000.oev';
  const plain = usualHistory().bundle().get(payload) as Buffer;
  const packed = gzipSync(plain);
  const cut = [plain.subarray(0, 9_000), plain.subarray(9_000)].map((part) => gzipSync(part));
  const withFlags = (flags: number): Buffer => {
    const bytes = Buffer.from(packed);
    bytes[3] = flags;
    return bytes;
  };
  const endless = (): Buffer => {
    const bytes = Buffer.from(plain);
    bytes.writeUInt32BE(2 ** 32 - 1, 2 + bytes.readUInt16BE(0));
    return bytes;
  };
  test.each<[what: string, bytes: Buffer, holds: boolean]>([
    ['one member', packed, true],
    ['two members', Buffer.concat(cut), true],
    ['a member twice', Buffer.concat([packed, packed]), false],
    ['a byte behind it', Buffer.concat([packed, Buffer.from('x')]), false],
    ['text behind it', Buffer.concat([packed, plain]), false],
    ['the beginning of a member behind it', Buffer.concat([packed, packed.subarray(0, 9)]), false],
    ['no end', packed.subarray(0, -8), false],
    ['another length at its end', Buffer.concat([packed.subarray(0, -4), Buffer.alloc(4)]), false],
    ['reserved flags in its header', withFlags(0x20), false],
    ['a checksum of its header', withFlags(0x02), false],
    ['nothing', Buffer.alloc(0), false],
    ['what is not packed', plain, false],
    ['an event of four gigabytes', gzipSync(endless()), false],
  ])('judge a packed file alike that has %s', async (_what, bytes, holds) => {
    rmSync(at(payload));
    writeFileSync(at(`${payload}.gz`), bytes);
    const { node, python } = await judge(folder);
    expect([node.holds, python.holds]).toEqual([holds, holds]);
  });

  test('judge a list of files alike that has the line ends of Windows, and a name that is no text', async () => {
    const list = execFileSync(
      'bash',
      ['-c', 'cd "$0" && find . -type f -printf "%P\\0" | xargs -0 sha256sum', folder],
      { encoding: 'utf8' },
    ).replaceAll('\n', '\r\n');
    writeFileSync(at('README.txt'), list);
    const crlf = await judge(folder);
    expect([crlf.node.holds, crlf.python.holds]).toEqual([false, false]);
    rmSync(at('README.txt'));
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x61, 0xff])]), 'x');
    const unnamed = await judge(folder);
    expect([unnamed.node.holds, unnamed.python.holds]).toEqual([false, false]);
  });

  test('judge alike an event that is said to have four gigabytes', async () => {
    writeFileSync(at(payload), endless());
    const { node, python } = await judge(folder);
    expect(node.faults.join()).toContain('an event of 4294967295 bytes is longer than one can be');
    expect(python.faults.join()).toContain('an event of 4294967295 bytes, which is longer than one can be');
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
