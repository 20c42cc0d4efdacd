import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sha256 } from '../../../../src/evidence/bytes.ts';
import { openFolder, verifyFolder } from '../../../../src/evidence/files/folder-reader.ts';
import { FolderWriter } from '../../../../src/evidence/files/folder-writer.ts';
import { usualHistory } from '../../../support/evidence/test-history.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'orgtrail-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a packed file is one member that gzip unpacks, also if it is empty or has many blocks', () => {
  const writer = new FolderWriter(join(folder, 'bundle'));
  for (const length of [0, 1, 1_048_576, 3_500_000]) {
    const bytes = Buffer.alloc(length, 'some text, ');
    const file = writer.open(`a/${length}.gz`, true);
    for (let at = 0; at < length; at += 700_001) file.write(bytes.subarray(at, at + 700_001));
    file.end();
    const packed = readFileSync(join(writer.folder, `a/${length}.gz`));
    expect(writer.hashes.get(`a/${length}.gz`)).toBe(hex(packed));
    const oneMember =
      'import sys, zlib; d = zlib.decompressobj(31); sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read())); assert d.eof and not d.unused_data';
    const unpacked = execFileSync('python3', ['-c', oneMember], { input: packed, maxBuffer: 10_000_000 });
    expect(unpacked.equals(bytes)).toBe(true);
  }
});

test('a folder gets its name at the end, over an empty one too, and nothing else is left', () => {
  const target = join(folder, 'bundle');
  const first = new FolderWriter(target);
  first.write('x/y', Buffer.from('text'));
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^\.bundle\.unfinished-/)]);
  first.discard();
  expect(readdirSync(folder)).toEqual([]);
  const second = new FolderWriter(target);
  second.write('x/y', Buffer.from('text'));
  second.finish();
  second.discard();
  expect(readdirSync(folder)).toEqual(['bundle']);
  expect(() => new FolderWriter(target)).toThrow('is not empty');
  rmSync(join(target, 'x'), { recursive: true });
  const third = new FolderWriter(target);
  third.write('z', Buffer.from('text'));
  third.finish();
  expect(readdirSync(target)).toEqual(['z']);
});

test('a bundle in a folder, plain and packed; damage of what is packed; the same file twice', async () => {
  const target = join(folder, 'bundle');
  const writer = new FolderWriter(target);
  for (const [path, bytes] of usualHistory().bundle()) {
    const isPacked = path.startsWith('events/payload/');
    const file = writer.open(isPacked ? `${path}.gz` : path, isPacked);
    file.write(bytes);
    file.end();
  }
  writer.finish();
  const faults = async () => (await verifyFolder(await openFolder(target))).faults.map(({ message }) => message);
  expect(await faults()).toEqual([]);
  const payload = join(target, 'events/payload/000000.oev.gz');
  const packed = readFileSync(payload);
  writeFileSync(payload, packed.subarray(0, packed.length / 2));
  expect((await faults()).join('\n')).toContain('cannot be unpacked');
  writeFileSync(payload, packed);
  execFileSync('bash', ['-c', 'gzip --decompress --keep "$0"', payload]);
  expect(await faults()).toEqual(['events/payload/000000.oev.gz is of no leaf']);
  rmSync(payload);
  expect(await faults()).toEqual([]);
  await expect(openFolder(join(folder, 'nothing'))).rejects.toThrow('cannot be read as a folder (ENOENT)');
});

const hex = (bytes: Uint8Array) => sha256(bytes).toString('hex');
