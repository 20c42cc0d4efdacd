import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

test('a package without DuckDB says what is missing, and works but for that', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-package-'));
  try {
    for (const name of ['dist', 'drizzle', 'package.json', 'CHANGELOG.md']) {
      await cp(join(checkout, name), join(directory, name), { recursive: true });
    }
    const run = (...args: string[]) =>
      new Promise<{ code: unknown; stderr: string }>((resolve) => {
        const env = { ORGTRAIL_ARCHIVE: 'file:///nowhere', DATABASE_URL: 'postgres://localhost/none' };
        execFile(process.execPath, [join(directory, 'dist/orgtrail.js'), ...args], { env }, (error, _, stderr) =>
          resolve({ code: error?.code ?? 0, stderr }),
        );
      });
    const missing = await run('archive', 'run', '--month', '2024-01');
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('the archive needs DuckDB') });
    expect(missing.stderr).toContain('install the package @duckdb/node-api beside orgtrail');
    expect(await run('query', 'select 1')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('orgtrail: orgtrail query needs DuckDB, which is not installed here'),
    });
    expect((await run('archive', 'list', '--help')).code).toBe(0);
    expect((await run('query', '--help')).code).toBe(0);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
