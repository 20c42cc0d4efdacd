import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { filesIn } from '../../../../src/evidence/anchors/write-once-files.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'orgtrail-anchor-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a file is written once, read-only, and nothing else stays behind', async () => {
  const files = filesIn(directory);
  expect(await files.put('a/b/one', Buffer.from('text'))).toEqual({ outcome: 'kept' });
  expect(await files.put('a/b/one', Buffer.from('text'))).toEqual({ outcome: 'same' });
  expect(await files.put('a/b/one', Buffer.from('else'))).toEqual({ outcome: 'other' });
  expect((await files.read('a/b/one')).toString()).toBe('text');
  expect(await readdir(join(directory, 'a/b'))).toEqual(['one']);
  expect((await stat(join(directory, 'a/b/one'))).mode & 0o777).toBe(0o444);
  expect(await files.newestNumbers('a/none', 20)).toEqual([]);
});

test('of several writers of one file, one keeps it', async () => {
  const files = filesIn(directory);
  const results = await Promise.all(
    Array.from({ length: 8 }, (_, index) => files.put('one', Buffer.from(index < 4 ? 'first' : 'other'))),
  );
  const text = (await files.read('one')).toString();
  expect(results.filter(({ outcome }) => outcome === 'kept')).toHaveLength(1);
  expect(results.filter(({ outcome }) => outcome === 'other')).toHaveLength(4);
  expect(['first', 'other']).toContain(text);
  expect(await readdir(directory)).toEqual(['one']);
});

test('a directory that is not there is a failure, not an empty anchor', async () => {
  const files = filesIn(join(directory, 'not-mounted'));
  await expect(files.newestNumbers('events/checkpoints', 20)).rejects.toThrow('ENOENT');
  await expect(files.put('one', Buffer.from('text'))).rejects.toThrow('ENOENT');
  await mkdir(join(directory, 'not-mounted'));
  expect(await files.newestNumbers('events/checkpoints', 20)).toEqual([]);
});

test('the newest of a folder are the largest numbers, whatever else is there', async () => {
  const files = filesIn(directory);
  const name = (number: number) => String(number).padStart(20, '0');
  for (const number of [5, 100, 20, 3]) await files.put(`events/${name(number)}`, Buffer.from('text'));
  await files.put('events/99999999999999999999.tmp', Buffer.from('text'));
  expect(await files.newestNumbers('events', 3)).toEqual([name(100), name(20), name(5)]);
});
