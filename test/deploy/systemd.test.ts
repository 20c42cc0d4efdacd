import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/app/config/config.ts';
import { ANALYZE, faultsOfUnit, hasSystemd, unitFile, valuesOf } from '../support/deploy/systemd-unit.ts';

const unit = unitFile('orgtrail.service');
const example = unitFile('orgtrail.env.example');

describe('deploy/systemd/orgtrail.service', () => {
  test.skipIf(!hasSystemd)('has no fault that systemd knows of (systemd-analyze verify)', () => {
    expect(faultsOfUnit()).toBe('');
  });

  test.skipIf(!hasSystemd)('is exposed no more than the documentation says (systemd-analyze security)', () => {
    const args = ['security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, 'deploy/systemd/orgtrail.service'];
    const { status, stdout, stderr } = spawnSync(ANALYZE, args, { encoding: 'utf8' });
    expect(status, stdout + stderr).toBe(0);
  });

  test('leaves no core dump, which would hold secrets', () => {
    expect(valuesOf(unit, 'LimitCORE')).toEqual(['0']);
  });

  test('the documentation names its exposure', () => {
    const page = readFileSync(new URL('../../docs/operations/systemd.md', import.meta.url), 'utf8');
    expect(page).toContain(`**${MAX_EXPOSURE / 10}**`);
  });

  test('every credential is loaded and used, and the settings are ones that there are', () => {
    const loaded = valuesOf(unit, 'LoadCredential').map((value) => value.split(':')[0] ?? '');
    const environment = Object.fromEntries(
      valuesOf(unit, 'Environment').map((value) => value.split('=') as [string, string]),
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
  const evidence = unitFile('orgtrail-evidence.service');
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
    const settings = { ...parseEnv(unitFile('evidence.env.example')), ORGTRAIL_EVIDENCE_KEY_FILE: '/key' };
    const config = loadConfig(settings, { needsCredential: false, interactive: false });
    expect(config.warnings).toEqual([]);
    expect(config.evidence?.anchors).toHaveLength(1);
  });
});

/** Tenths, on systemd's scale from 0 to 10. docs/operations/systemd.md says the same. */
const MAX_EXPOSURE = 11;
