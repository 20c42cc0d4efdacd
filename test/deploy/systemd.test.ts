import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';

const unitFile = fileURLToPath(new URL('../../deploy/systemd/orgtrail.service', import.meta.url));
const unit = readFileSync(unitFile, 'utf8');
const example = readFileSync(new URL('../../deploy/systemd/orgtrail.env.example', import.meta.url), 'utf8');
const ANALYZE = 'systemd-analyze';
const hasSystemd = spawnSync(ANALYZE, ['--version']).status === 0;

describe('deploy/systemd/orgtrail.service', () => {
  test.skipIf(!hasSystemd)('has no fault that systemd knows of (systemd-analyze verify)', () => {
    const directory = mkdtempSync(join(tmpdir(), 'orgtrail-systemd-'));
    try {
      // It looks for the program and the page of the documentation, which are elsewhere here.
      const here = join(directory, 'orgtrail.service');
      writeFileSync(here, unit.replace('/usr/bin/node', process.execPath).replace(/^Documentation=.*\n/m, ''));
      const { status, stdout, stderr } = spawnSync(ANALYZE, ['verify', here], { encoding: 'utf8' });
      expect(stdout + stderr).toBe('');
      expect(status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test.skipIf(!hasSystemd)('is exposed no more than the documentation says (systemd-analyze security)', () => {
    const args = ['security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, unitFile];
    const { status, stdout, stderr } = spawnSync(ANALYZE, args, { encoding: 'utf8' });
    expect(status, stdout + stderr).toBe(0);
  });

  test('leaves no core dump, which would hold secrets', () => {
    expect(valuesOf('LimitCORE')).toEqual(['0']);
  });

  test('the documentation names its exposure', () => {
    const page = readFileSync(new URL('../../docs/operations/systemd.md', import.meta.url), 'utf8');
    expect(page).toContain(`**${MAX_EXPOSURE / 10}**`);
  });

  test('every credential is loaded and used, and the settings are ones that there are', () => {
    const loaded = valuesOf('LoadCredential').map((value) => value.split(':')[0] ?? '');
    const environment = Object.fromEntries(
      valuesOf('Environment').map((value) => value.split('=') as [string, string]),
    );
    const files = Object.entries(environment).filter(([name]) => name.endsWith('_FILE'));
    expect(files.map(([, path]) => path.replace('%d/', '')).sort()).toEqual([...loaded].sort());
    const secrets = {
      DATABASE_URL: 'postgres://orgtrail:secret@localhost/orgtrail',
      CLOUDFLARE_API_TOKEN: 'token',
      ORGTRAIL_FEED_TOKEN: 'a-token-of-the-feed',
    };
    expect(files.map(([name]) => name.replace(/_FILE$/, '')).sort()).toEqual(Object.keys(secrets).sort());
    const settings = parseEnv(example) as Record<string, string>;
    expect(Object.keys(settings).length).toBeGreaterThan(3);
    expect(loadConfig({ ...settings, ...secrets }, { needsCredential: true, interactive: false }).warnings).toEqual([]);
  });
});

describe('deploy/systemd/orgtrail-evidence.service', () => {
  const read = (name: string) => readFileSync(new URL(`../../deploy/systemd/${name}`, import.meta.url), 'utf8');
  const evidence = read('orgtrail-evidence.service');
  const linesOf = (text: string) => text.split('\n').filter((line) => /^\w+=/.test(line));
  const own = /^(Description|ExecStart|EnvironmentFile|LoadCredential|Environment)=/;

  test('is as confined as the daemon, and has the key and a database account, and no credential of Cloudflare', () => {
    const confining = (text: string) => linesOf(text).filter((line) => !own.test(line));
    expect(confining(evidence)).toEqual(confining(unit));
    expect(linesOf(evidence).filter((line) => line.startsWith('LoadCredential='))).toEqual([
      'LoadCredential=database-url:/etc/orgtrail/evidence-database-url',
      'LoadCredential=evidence-key:/etc/orgtrail/evidence-key.pem',
    ]);
    expect(evidence).toContain('dist/orgtrail.js evidence run\n');
    expect(unit).not.toContain('EVIDENCE');
  });

  test('its settings are ones that there are', () => {
    const settings = { ...parseEnv(read('evidence.env.example')), ORGTRAIL_EVIDENCE_KEY_FILE: '/key' };
    const config = loadConfig(settings, { needsCredential: false, interactive: false });
    expect(config.warnings).toEqual([]);
    expect(config.evidence?.anchors).toHaveLength(1);
  });
});

/** Tenths, on systemd's scale from 0 to 10. docs/operations/systemd.md says the same. */
const MAX_EXPOSURE = 11;

const valuesOf = (name: string): string[] =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);
