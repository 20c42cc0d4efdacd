import { chownSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { withSettingsFile } from '../../../src/app/config/settings-file.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { folder, file: writeFile } = temporaryFolder();
const file = join(folder, '.env');
const uid = statSync(folder).uid;
beforeEach(() => {
  write('ORGTRAIL_HISTORY=90d\nORGTRAIL_SETTLE=10m\n');
});

test('what the file says counts below the environment, and the file is named', () =>
  expect(withSettingsFile({ ORGTRAIL_SETTLE: '24h' }, file, uid)).toEqual({
    environment: { ORGTRAIL_HISTORY: '90d', ORGTRAIL_SETTLE: '24h' },
    file,
    names: ['ORGTRAIL_HISTORY'],
  }));

test('without a file the environment is all', () =>
  expect(withSettingsFile({ A: 'b' }, join(folder, 'none'), uid)).toEqual({
    environment: { A: 'b' },
    file: undefined,
    names: [],
  }));

test.each([0o600, 0o644, 0o440])('mode %o is fine', (mode) => {
  write('A=b', mode);
  expect(withSettingsFile({}, file, uid).environment).toEqual({ A: 'b' });
});

test.each([0o620, 0o664, 0o602, 0o666])('mode %o, which others may write, is refused', (mode) => {
  write('A=b', mode);
  expect(() => withSettingsFile({}, file, uid)).toThrow(/can be written by other accounts: it is not read/);
});

test('a file of another account is refused; one of root is not', () => {
  if (uid === 0) {
    expect(withSettingsFile({}, file, STRANGER).file).toBe(file);
    chownSync(file, STRANGER + 1, 0);
  }
  expect(() => withSettingsFile({}, file, STRANGER)).toThrow(/belongs to another account \(uid \d+\): it is not read/);
  if (uid === 0) {
    expect(() => withSettingsFile({}, file, 0)).toThrow(/belongs to another account/);
    chownSync(file, 0, 0);
  }
});

// biome-ignore format: a table
test.each([
  'CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_API_TOKEN_FILE', 'CLOUDFLARE_API_KEY', 'CLOUDFLARE_API_KEY_FILE', 'CLOUDFLARE_CREDENTIALS',
  'CLOUDFLARE_CREDENTIALS_FILE',
])('a base URL of the file never gets %s of the environment', (name) => {
  write('CLOUDFLARE_BASE_URL=http://127.0.0.1:1/v4\n');
  const secret = 'real-token-99';
  const mixed = () => withSettingsFile({ [name]: secret }, file, uid);
  expect(mixed).toThrow(`would get the credential of the environment (${name})`);
  expect(mixed).not.toThrow(secret);
  // Said in the environment, too, it is meant.
  const both = { [name]: secret, CLOUDFLARE_BASE_URL: 'https://api.example' };
  expect(withSettingsFile(both, file, uid).environment).toEqual(both);
});

test('a base URL and a token of the same file belong together', () => {
  write('CLOUDFLARE_BASE_URL=http://127.0.0.1:1/v4\nCLOUDFLARE_API_TOKEN=of-the-simulator\n');
  expect(withSettingsFile({ PATH: '/bin' }, file, uid).environment).toMatchObject({
    CLOUDFLARE_API_TOKEN: 'of-the-simulator',
  });
});

test('nor does a YAML file that it names, which may have a base URL', () => {
  write('ORGTRAIL_CONFIG=/tmp/elsewhere.yaml\n');
  const credential = { CLOUDFLARE_API_TOKEN: 'real-token-99' };
  expect(() => withSettingsFile(credential, file, uid)).toThrow(
    'could send the credential of the environment (CLOUDFLARE_API_TOKEN) elsewhere',
  );
  for (const said of [{ ORGTRAIL_CONFIG: '/etc/orgtrail.yaml' }, { CLOUDFLARE_BASE_URL: 'https://api.example' }]) {
    expect(withSettingsFile({ ...credential, ...said }, file, uid).environment).toMatchObject(said);
  }
  expect(withSettingsFile({}, file, uid).environment).toEqual({ ORGTRAIL_CONFIG: '/tmp/elsewhere.yaml' });
});

const write = (text: string, mode?: number): string => writeFile('.env', text, mode);

/** Neither root nor the user that runs the tests. */
const STRANGER = 54_321;
