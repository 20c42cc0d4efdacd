import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linesOf } from '../../../src/evidence/files/file-lines.ts';
import { MemoryFiles } from '../../../src/search/bundle/bundle-files.ts';
import { writeZip, type ZipFile } from '../../../src/search/bundle/zip.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { folder } = temporaryFolder();

const zipped = async (files: readonly ZipFile[], atMs: number): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of writeZip(files, atMs)) pieces.push(piece);
  return Buffer.concat(pieces);
};

describe('an archive', () => {
  test('is what another program unpacks: names, bytes, times, whatever the length', async () => {
    const contents = new Map([0, 1, 511, 512, 513, 70_000].map((length) => [`x/${length}`, Buffer.alloc(length, 'ä')]));
    const files = [...contents].map(([name, bytes]) => ({ name, pieces: [bytes.subarray(0, 3), bytes.subarray(3)] }));
    writeFileSync(join(folder, 'a.zip'), await zipped(files, Date.UTC(2026, 0, 31, 13, 5, 58, 500)));
    const script = `import zipfile
z = zipfile.ZipFile('a.zip')
assert z.testzip() is None
z.extractall()
for i in z.infolist(): print(i.filename, *i.date_time, oct(i.external_attr >> 16))`;
    const said = execFileSync('python3', ['-c', script], { cwd: folder, encoding: 'utf8' });
    const facts = '2026 1 31 13 5 58 0o100644';
    expect(said.trim().split('\n')).toEqual([...contents.keys()].map((name) => `${name} ${facts}`));
    for (const [name, bytes] of contents) {
      expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true);
    }
  });

  test('has no end if a file breaks off', async () => {
    const broken = async function* () {
      yield Buffer.from('one');
      throw new Error('gone');
    };
    await expect(zipped([{ name: 'x', pieces: broken() }], Date.UTC(2026, 0))).rejects.toThrow('gone');
  });
});

describe('a bundle in memory', () => {
  test('is not larger than it may be, all files together', () => {
    const files = new MemoryFiles(10);
    files.write('a', Buffer.alloc(6));
    const file = files.open('b');
    file.write(Buffer.alloc(4));
    expect(() => file.write(Buffer.alloc(1))).toThrow('search less, or write it with orgtrail');
  });

  test('keeps what it was given, though the buffer is used again', () => {
    const files = new MemoryFiles(100);
    const file = files.open('a');
    const room = Buffer.from('one');
    file.write(room);
    room.write('two');
    file.write(room);
    file.end();
    expect(files.reader().read('a')?.toString()).toBe('onetwo');
  });
});

test('lines are cut at line feeds alone, wherever pieces end', async () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'ä', '\r', '\u2028', '{') });
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat(40)), async (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
      const pieces = ends.map((end, n) => bytes.subarray(ends[n - 1] ?? 0, end));
      const read: string[] = [];
      for await (const each of linesOf(pieces)) read.push(each.toString());
      expect(read).toEqual(lines);
    }),
  );
});
