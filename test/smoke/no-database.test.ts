import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { createTestDatabase } from '../support/postgres/database.ts';
import { runInProcess } from '../support/process/run-in-process.ts';

const reading = [
  ['status'],
  ['feed'],
  ['sink', 'list'],
  ['sink', 'dead-letters', 'siem'],
  ['hold', 'list'],
  ['verify', '--since', '2d', '--before', '1d'],
];

describe.concurrent('a command that reads', () => {
  test.each(reading)('%s %s makes no database: exit code 2, and says what to do', async (...command) => {
    const directory = await mkdtemp(join(tmpdir(), 'orgtrail-none-'));
    const dataDir = join(directory, 'data');
    const { code, stdout, stderr } = await runInProcess(command, { ...api, ORGTRAIL_DATA_DIR: dataDir });
    const made = await readdir(directory);
    await rm(directory, { recursive: true, force: true });
    expect(stderr).toBe(
      `orgtrail: no orgtrail database here: DATABASE_URL is not set, and ${dataDir} has none\n` +
        'Try: set DATABASE_URL to the database of the daemon, or run this on the host that has its ORGTRAIL_DATA_DIR\n',
    );
    expect({ code, stdout, made }).toEqual({ code: 2, stdout: '', made: [] });
  });

  test('leaves an empty database empty: exit code 2', async () => {
    const empty = await createTestDatabase({ empty: true });
    for (const command of reading) {
      const { code, stdout, stderr } = await runInProcess(command, { ...api, DATABASE_URL: empty.url });
      const { rows } = await empty.pool.query("select to_regclass('organizations') as made");
      expect(stderr).toMatch(/^orgtrail: no orgtrail data here yet: .*\nTry: .*orgtrail run/);
      expect({ code, stdout, rows }, command.join(' ')).toEqual({ code: 2, stdout: '', rows: [{ made: null }] });
    }
    await empty.close();
  });
});

test('run with a database that is down waits for half a minute, then says what is wrong, exit 4', async () => {
  const env = { ...api, DATABASE_URL: 'postgres://x:secret-word@127.0.0.1:1/x', ORGTRAIL_HTTP_PORT: '0' };
  const now = performance.now.bind(performance);
  const startedAtMs = 10 * now();
  // Half a minute of it passes within three seconds.
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => 10 * now());
  try {
    const { code, stdout, stderr } = await runInProcess(['run'], env);
    expect(performance.now() - startedAtMs).toBeGreaterThan(29_000);
    expect(stdout).toContain('waiting for the database; giving up in 30 s');
    expect(stderr).toMatch(/^orgtrail: PostgreSQL at 127\.0\.0\.1:1\/x: .*ECONNREFUSED.*\nTry: check DATABASE_URL/);
    expect(stdout + stderr).not.toContain('secret-word');
    expect(code).toBe(4);
  } finally {
    clock.mockRestore();
  }
});

test('a misspelt variable is said, with what was probably meant', async () => {
  const database = await createTestDatabase();
  const env = { DATABASE_URL: database.url, ORGTRAIL_HISTORI: '9d' };
  const { code, stderr } = await runInProcess(['status'], env);
  const check = await runInProcess(['check'], { ...api, ...env });
  await database.close();
  expect(stderr).toContain('ORGTRAIL_HISTORI is not a setting; did you mean ORGTRAIL_HISTORY?');
  expect(code).toBe(0);
  expect(check.stdout).toMatch(/^note {2}configuration {2}ORGTRAIL_HISTORI is not a setting; did you mean/m);
});

const api = { CLOUDFLARE_API_TOKEN: 'token-of-the-test', CLOUDFLARE_BASE_URL: 'http://127.0.0.1:1' };
