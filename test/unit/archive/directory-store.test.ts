import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { objectsInDirectory } from '../../../src/archive/store/directory-store.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const root = temporaryFolder().folder;

const storeIn = (directory: string) => objectsInDirectory({ kind: 'file', name: `file://${directory}`, directory });

describe('objects below a directory', () => {
  test('are written and read, whole and in part; what is not there is not there', async () => {
    const store = storeIn(root);
    await store.put('a/b', Buffer.from('0123456789'));
    expect((await store.get('a/b'))?.toString()).toBe('0123456789');
    expect((await store.getRange('a/b', { from: 2, to: 5 }))?.toString()).toBe('234');
    expect(await store.getRange('a/b', { from: 8, to: 11 })).toBeUndefined();
    expect(await store.get('a/c')).toBeUndefined();
    expect(await store.getRange('a/c', { from: 0, to: 1 })).toBeUndefined();
    expect(await readdir(join(root, 'a'))).toEqual(['b']);
  });

  test('are not looked for, nor written, where the directory is not mounted', async () => {
    const store = storeIn(join(root, 'not-mounted'));
    const says = 'the directory does not exist: make it, or mount the disk that it is on';
    await expect(store.put('a', Buffer.from('x'))).rejects.toThrow(says);
    await expect(store.get('a')).rejects.toThrow(says);
    await expect(store.getRange('a', { from: 0, to: 1 })).rejects.toThrow(says);
    expect(await readdir(root)).not.toContain('not-mounted');
  });

  test('are not waited for where a pipe stands in the place of one', async () => {
    execFileSync('sh', ['-c', 'mkfifo "$0"', join(root, 'pipe')]);
    const store = storeIn(root);
    await expect(store.get('pipe')).rejects.toThrow('is not a file');
    await expect(store.getRange('pipe', { from: 0, to: 1 })).rejects.toThrow('is not a file');
  });
});
