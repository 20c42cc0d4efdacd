import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The source of an earlier commit in a temporary folder, for `startOrgtrail` with `root`. Leaving the scope removes it. */
export interface OldRelease extends AsyncDisposable {
  readonly root: string;
}

/** The source as of a commit, with the modules of this checkout. Needs the history of the repository. */
export const unpackRelease = async (commit: string): Promise<OldRelease> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-old-'));
  const archive = spawnSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 28 });
  expect(archive.status, `needs the history of the repository: ${archive.stderr}`).toBe(0);
  const checkout = join(directory, 'checkout');
  await mkdir(checkout);
  const unpacked = spawnSync('tar', ['-x', '-C', checkout], { input: archive.stdout });
  expect(unpacked.status, String(unpacked.stderr)).toBe(0);
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'));
  return {
    root: checkout,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
};
