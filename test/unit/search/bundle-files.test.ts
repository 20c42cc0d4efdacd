import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linesOf } from '../../../src/evidence/files/file-lines.ts';
import { MemoryFiles } from '../../../src/search/bundle/bundle-files.ts';
import { writeTar } from '../../../src/search/bundle/tar.ts';

describe('an archive', () => {
  test('is what tar reads: names, bytes, times, whatever the length', () => {
    const folder = mkdtempSync(join(tmpdir(), 'orgtrail-tar-'));
    const contents = new Map([0, 1, 511, 512, 513, 70_000].map((length) => [`x/${length}`, Buffer.alloc(length, 'ä')]));
    const files = [...contents].map(([name, bytes]) => ({ name, pieces: [bytes.subarray(0, 3), bytes.subarray(3)] }));
    writeFileSync(join(folder, 'a.tar'), Buffer.concat([...writeTar(files, 1_767_225_600.5)]));
    const said = execFileSync('tar', ['-xvf', 'a.tar'], { cwd: folder, encoding: 'utf8' });
    expect(said.trim().split('\n')).toEqual([...contents.keys()]);
    for (const [name, bytes] of contents) {
      expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true);
      const { mtimeMs, mode } = statSync(join(folder, name));
      expect([mtimeMs, mode & 0o133]).toEqual([1_767_225_600_000, 0]);
    }
    rmSync(folder, { recursive: true });
  });

  test('refuses a name that does not fit', () => {
    expect(() => [...writeTar([{ name: 'x'.repeat(101), pieces: [] }], 0)]).toThrow('too long');
  });
});

describe('a bundle in memory', () => {
  test('is not larger than it may be, all files together', () => {
    const files = new MemoryFiles(10);
    files.write('a', Buffer.alloc(6));
    const file = files.open('b');
    file.write(Buffer.alloc(4));
    expect(() => file.write(Buffer.alloc(1))).toThrow('search less, or write it to a folder');
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
