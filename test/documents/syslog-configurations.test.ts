import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { rsyslogConfig, syslogNgConfig } from '../support/sinks/syslog-receiver-configs.ts';

const page = readFileSync(new URL('../../src/sinks/syslog/README.md', import.meta.url), 'utf8');

const options = { directory: '/tmp/x', port: 6514, tls: { cert: '/tmp/x/cert', key: '/tmp/x/key' } };

/** What the page tells users to write is what the tests run, but for files, addresses and what is printed of a message. */
test.each([
  ['rsyslog', /[\w.]+="[^"/%]*"/g, rsyslogConfig({ ...options, driver: 'ossl' })],
  ['syslog-ng', /[\w-]+\([^()"/]*\)/g, syslogNgConfig(options)],
])('every setting for %s in src/sinks/syslog/README.md is one that is tested', (name, setting, tested) => {
  const settings = block(name).match(setting) ?? [];
  expect(settings.length).toBeGreaterThan(6);
  for (const one of settings) expect(tested).toContain(one);
});

const block = (heading: string): string =>
  new RegExp(`## ${heading}\n.*?\`\`\`\n(.*?)\`\`\``, 's').exec(page)?.[1] ?? '';
