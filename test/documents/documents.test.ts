import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { generated } from '../../scripts/documents/generated.ts';
import { loadConfig } from '../../src/config/config.ts';
import { faultNames, parametersOf } from '../../src/simulator/faults/fault-catalogue.ts';
import { parseFaultList } from '../../src/simulator/faults/fault-list.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readme = read('README.md');
const settingsPage = read('docs/reference/settings.md');

describe('docs/INVARIANTS.md', () => {
  const named = [...read('docs/INVARIANTS.md').matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)];

  test('names a test for each of the fifteen invariants', () => {
    const sections = read('docs/INVARIANTS.md')
      .split(/^(?=\d+\. )/m)
      .slice(1);
    expect(sections).toHaveLength(15);
    for (const section of sections) expect(section).toMatch(/`test\/[^`]+`: "/);
  });

  test.each(named.map(([, file = '', title = '']) => [file, title]))('%s has "%s"', (file, title) => {
    expect(read(file)).toContain(title);
  });
});

describe('README.md', () => {
  test('has the two commands', () => {
    expect(readme).toContain('npm ci && npm run demo');
    expect(readme).toContain('npm ci && npm test');
  });

  test('is short', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(130);
  });
});

describe('docs/reference', () => {
  test.each(Object.entries(generated))('%s is of today', async (path, make) => {
    expect(read(path)).toBe(await make());
  });

  test('metrics.md has every metric, and no other', () => {
    const names = createMetrics('1')
      .registry.getMetricsAsArray()
      .map(({ name }) => name);
    const own = names.filter((name) => name.startsWith('orgtrail_')).sort();
    const listed = [...read('docs/reference/metrics.md').matchAll(/^\| `(orgtrail_\w+)/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(own);
  });

  test('settings.md says of every setting what its default is', () => {
    const config = loadConfig({}, { needsCredential: false, interactive: false });
    for (const value of [config.baseUrl, config.dataDir, config.schedule, config.apiBudget, config.concurrency]) {
      expect(settingsPage).toContain(`| \`${value}\` |`);
    }
  });

  test('settings.md has exactly the settings that the code reads', () => {
    const settings = [
      ...read('src/config/environment-schema.ts').matchAll(/^ {2}((?:ORGTRAIL|CLOUDFLARE|DATABASE)_\w+):/gm),
    ].map(([, name]) => name);
    expect(settings.length).toBeGreaterThan(12);
    for (const name of settings) expect(settingsPage, String(name)).toContain(`\`${name}\``);
  });
});

describe('docs/simulator.md', () => {
  const page = read('docs/simulator.md');

  test.each(faultNames)('has the fault %s with its parameters and their values', (name) => {
    const row = page.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``)) ?? '';
    expect(row).not.toBe('');
    for (const [key, { standard }] of Object.entries(parametersOf(name))) {
      const value = standard === undefined ? '' : ` ${typeof standard === 'string' ? `\`${standard}\`` : standard}`;
      expect(row).toContain(`\`${key}\`${value}`);
    }
  });

  test('has examples that are good settings', () => {
    const examples = [...page.matchAll(/(?:--faults |-d )'?([^'\s]+)/g), ...page.matchAll(/: `(\{"page[^`]+)`/g)];
    expect(examples.length).toBeGreaterThan(6);
    for (const [, list = ''] of examples) expect(() => parseFaultList(list)).not.toThrow();
  });
});
