import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/app/config/config.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

// The module, read by HashiCorp's parser (scripts/install/deploy-tools.sh). Neither Terraform nor OpenTofu can be had without a download.
const GOPATH = '/usr/share/gocode';
const missing =
  spawnSync('go', ['version']).status !== 0 || !existsSync(join(GOPATH, 'src/github.com/hashicorp/hcl/v2'));
if (missing) console.warn('deploy/terraform is not read: Go or golang-github-hashicorp-hcl-v2-dev is missing.');
const { folder } = temporaryFolder();
const files = globSync('deploy/terraform/*.tf');

describe.skipIf(missing)('deploy/terraform', () => {
  test('is HCL, and every variable, resource and local value is declared and used', () => {
    const env = { ...process.env, GO111MODULE: 'off', GOPATH, GOFLAGS: '' };
    const reader = join(folder, 'read-hcl');
    execFileSync('go', ['build', '-o', reader, 'test/support/deploy/read-hcl.go'], { env });
    const lines = execFileSync(reader, files, { encoding: 'utf8' }).trim().split('\n');
    const after = (start: string) =>
      lines.flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []));
    const variables = after('reference var.').map((name) => name.split('.')[0]);
    expect(new Set(variables)).toEqual(new Set(after('block variable ')));
    const declared = after('block resource ').map((name) => name.replace(' ', '.'));
    for (const name of after('reference cloudflare_')) {
      expect(declared).toContain(`cloudflare_${name.split('.').slice(0, 2).join('.')}`);
    }
  });
});

test('its outputs are settings that orgtrail takes', () => {
  const text = files.map((file) => readFileSync(file, 'utf8')).join('\n');
  const [, archive = ''] = /ORGTRAIL_ARCHIVE\s+= "([^"]+)"/.exec(text) ?? [];
  const account = '0a1b2c3d4e5f60718293a4b5c6d7e8f9';
  const values: Readonly<Record<string, string>> = { account_id: account, name: 'audit-archive', prefix: 'orgtrail' };
  const config = loadConfig(
    {
      DATABASE_URL: 'postgres://orgtrail:secret@db.example.com/orgtrail?sslmode=verify-full',
      CLOUDFLARE_CREDENTIALS: JSON.stringify({ acme: { token: 'cfat_0123456789', accounts: [account] } }),
      ORGTRAIL_RETENTION: '730d',
      ORGTRAIL_ARCHIVE: archive.replaceAll(/\$\{var\.bucket\.(\w+)\}/g, (_, name) => values[name] ?? ''),
      ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: 'key',
      ORGTRAIL_ARCHIVE_S3_SECRET_KEY: 'secret',
    },
    { needsCredential: true, interactive: false },
  );
  expect(JSON.stringify(config.archive)).toContain(`${account}.r2.cloudflarestorage.com`);
  for (const kind of ['events', 'changes'])
    expect(readFileSync('docs/archive.md', 'utf8')).toContain(`PREFIX/v1/${kind}/`);
  expect(text).toMatch(/\$\{var\.bucket\.prefix\}\/v1\/\$\{kind\}\//);
});
