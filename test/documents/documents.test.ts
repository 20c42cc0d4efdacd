import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { generated } from '../../scripts/documents/generated.ts';
import { loadConfig } from '../../src/app/config/config.ts';
import { createMetrics } from '../../src/app/telemetry/metrics.ts';
import { createProgram } from '../../src/cli/cli.ts';
import { parseFaultList } from '../../src/simulator/faults/fault-list.ts';
import { detectionRules } from '../../src/sinks/findings/rules.ts';
import { rsyslogConfig, syslogNgConfig } from '../support/sinks/syslog-receiver-configs.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readme = read('README.md');
const settingsPage = read('docs/reference/settings.md');

describe('README.md', () => {
  test('has the two commands', () => {
    expect(readme).toContain('npm ci && npm run demo');
    expect(readme).toContain('npm ci && npm test');
  });

  test('is short', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(130);
  });
});

test('docs/access.md names all commands that cannot ask a daemon, and no other', () => {
  const context = { env: {}, takeOverStop: () => {} } as unknown as Parameters<typeof createProgram>[0];
  const leaves = (command: Command, path: readonly string[] = []): string[] =>
    command.commands.length > 0
      ? command.commands.flatMap((each) => leaves(each, [...path, each.name()]))
      : command.options.some(({ long }) => long === '--url')
        ? []
        : [path.join(' ')];
  const [, section = ''] = /## Commands that ask a daemon\n([\s\S]*?)\n## /.exec(read('docs/access.md')) ?? [];
  const [, list = ''] = /do not have `--url`:\n([\s\S]*?)\n\n`search/.exec(section) ?? [];
  const named = [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  expect(named.sort()).toEqual(leaves(createProgram(context, () => {})).sort());
});

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const pages = execFileSync('git', ['ls-files', '*.md'], { cwd: checkout, encoding: 'utf8' }).trim().split('\n');

test.each(pages)('every link of %s leads to a file, and to a heading of it', (page) => {
  const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  const local = links.filter((link) => !/^(https?|mailto):/.test(link));
  expect(local.filter((link) => isBroken(page, link))).toEqual([]);
});

test.each(pages.filter((page) => page.startsWith('docs/operations/')))(
  '%s names only commands of npm that there are, and is in the index',
  (page) => {
    const { scripts } = JSON.parse(read('package.json'));
    for (const [, name = ''] of read(page).matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(name);
    const name = page.slice('docs/operations/'.length);
    if (name !== 'README.md') expect(read('docs/operations/README.md')).toContain(`](${name})`);
  },
);

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
      ...read('src/app/config/environment-schema.ts').matchAll(/^ {2}((?:ORGTRAIL|CLOUDFLARE|DATABASE)_\w+):/gm),
    ].map(([, name]) => name);
    expect(settings.length).toBeGreaterThan(12);
    for (const name of settings) expect(settingsPage, String(name)).toContain(`\`${name}\``);
  });
});

describe('docs/simulator.md', () => {
  const page = read('docs/simulator.md');

  test('has examples that are good settings', () => {
    const examples = [...page.matchAll(/(?:--faults |-d )'?([^'\s]+)/g), ...page.matchAll(/: `(\{"page[^`]+)`/g)];
    expect(examples.length).toBeGreaterThan(6);
    for (const [, list = ''] of examples) expect(() => parseFaultList(list)).not.toThrow();
  });
});

test('docs/console.md names everything that the console can change, and whether it asks and is kept', () => {
  const section = /## What can be changed\n([\s\S]*?)\n## /.exec(read('docs/console.md'))?.[1] ?? '';
  const named = [...section.matchAll(/`(POST [^`]+)`/g)].map(([, route = '']) => route).sort();
  // `POST /path` of each route of the console, from the code.
  const routes = globSync('src/http/console/**/*.ts', { cwd: checkout }).flatMap((file) =>
    [...read(file).matchAll(/\.post(?:<[^(]*>)?\(\s*'([^']+)'/g)].map(([, path]) => `POST ${path}`),
  );
  expect(routes.length).toBeGreaterThan(8);
  expect(named).toEqual(routes.sort());
});

test('docs/detections.md and the console say the same of each detection, in the same order', () => {
  // Without marks of emphasis and of code.
  const plain = (text = ''): string => text.replace(/\*\*|`/g, '').trim();
  const rows = read('docs/detections.md').split('\n');
  const described = rows
    .filter((line) => /^\| .*\| `detection_\w+` \|/.test(line))
    .map((line) => {
      const [what, view, rule = '', severity, alsoFinds] = line.replace(/^\| | \|$/g, '').split(' | ');
      const sigma = /\.\.\/(deploy\/sigma\/[\w.]+)/.exec(rule)?.[1];
      const name = plain(view).replace('detection_', '');
      return { name, severity: plain(severity), what: plain(what), alsoFinds: plain(alsoFinds), sigma };
    });
  expect(detectionRules).toEqual(described);
  for (const { sigma } of detectionRules) {
    if (sigma !== undefined) expect(existsSync(join(checkout, sigma)), sigma).toBe(true);
  }
});

/** What the page tells users to write is what the tests run, but for files, addresses and what is printed of a message. */
const syslog = { directory: '/tmp/x', port: 6514, tls: { cert: '/tmp/x/cert', key: '/tmp/x/key' } };

test.each([
  ['rsyslog', /[\w.]+="[^"/%]*"/g, rsyslogConfig({ ...syslog, driver: 'ossl' })],
  ['syslog-ng', /[\w-]+\([^()"/]*\)/g, syslogNgConfig(syslog)],
])('every setting for %s in src/sinks/syslog/README.md is one that is tested', (name, setting, tested) => {
  const block = new RegExp(`## ${name}\n.*?\`\`\`\n(.*?)\`\`\``, 's').exec(read('src/sinks/syslog/README.md'))?.[1];
  const settings = block?.match(setting) ?? [];
  expect(settings.length).toBeGreaterThan(6);
  for (const one of settings) expect(tested).toContain(one);
});

/** The anchors that a page has, as GitHub makes them. */
const anchorsOf = (page: string): ReadonlySet<string> =>
  new Set(
    [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );

const isBroken = (page: string, link: string): boolean => {
  const [path = '', anchor = ''] = link.split('#');
  const target = path === '' ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(checkout, target))) return true;
  return anchor !== '' && target.endsWith('.md') && !anchorsOf(target).has(anchor);
};
