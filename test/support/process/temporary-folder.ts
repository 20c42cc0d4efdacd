import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder that is removed after the tests of the file, and what writes a file in it and gives its path. */
export const temporaryFolder = () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'orgtrail-test-')));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, content: string, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  return { folder, file };
};
