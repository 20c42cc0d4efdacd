import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig, readConfig } from '../../../src/app/config/config.ts';
import { createLiveSecrets } from '../../../src/app/config/live-secrets.ts';
import { describeFault } from '../../../src/app/config/settings-list.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { folder, file } = temporaryFolder();
const path = join(folder, 'orgtrail.yaml');
const options = { needsCredential: true, interactive: false };

test('precedence a file alone is a whole configuration', () =>
  expect(load(whole)).toMatchObject({
    credential: { kind: 'token', token: 'token-of-the-file' },
    apiBudget: 1_000,
    settleDelaysMs: [60_000, 7_200_000],
    http: { feedToken: 'feed-token-of-the-file' },
    sinks: [{ name: 'log', settings: { type: 'file', path: '/x/log', keep: 3 } }],
    warnings: [],
  }));

test('precedence the environment wins over the file, setting by setting', () => {
  const config = load(whole, { ORGTRAIL_API_BUDGET: '2000', CLOUDFLARE_API_TOKEN: 'token-of-the-environment' });
  expect(config).toMatchObject({ apiBudget: 2_000, credential: { token: 'token-of-the-environment' } });
  expect(config.settleDelaysMs).toEqual([60_000, 7_200_000]);
});

test('precedence a secret and its NAME_FILE are one setting', () => {
  const feed = file('feed', 'feed-token-of-another-file');
  expect(load(whole, { ORGTRAIL_FEED_TOKEN_FILE: feed }).http.feedToken).toBe('feed-token-of-another-file');
  const text = whole.replace('feed_token: feed-token-of-the-file', `feed_token_file: ${feed}`);
  expect(load(text).http.feedToken).toBe('feed-token-of-another-file');
  expect(load(text, { ORGTRAIL_FEED_TOKEN: 'feed-token-of-the-environment' }).http.feedToken).toBe(
    'feed-token-of-the-environment',
  );
});

test('precedence an empty variable leaves the file in force', () =>
  expect(load(whole, { ORGTRAIL_API_BUDGET: '' }).apiBudget).toBe(1_000));

test('precedence the sinks of the environment take the place of all sinks of the file', () => {
  const sinks = JSON.stringify({ other: { type: 'file', path: '/y' } });
  expect(load(whole, { ORGTRAIL_SINKS: sinks }).sinks.map(({ name }) => name)).toEqual(['other']);
});

test('precedence a command whose log is quiet by default heeds the file', () => {
  const level = (text: string) =>
    loadConfig({ ORGTRAIL_CONFIG: write(text) }, { needsCredential: false, interactive: false, logLevel: 'warn' }).log
      .level;
  expect([level(''), level('log_level: debug')]).toEqual(['warn', 'debug']);
});

test('faults all at once, those of the file with their places and keys, in order', () => {
  const text = `api_budget: 1
cloudflare:
  api_token: "SECRET with a space"
  api_key: SECRET
database: {url: mysql://SECRET}
feed_token_file: ${join(folder, 'none')}
filters:
  - action_tipe=x
leese: 1s
sinks:
  siem:
    type: splunk_hec
    url: https://u:SECRET@x
    tokn: SECRET
  log: {type: file, path: /x, organizations: [a, 7]}
`;
  const faults = faultsOf(text, { ORGTRAIL_HTTP_PORT: 'x' });
  expect(faults).toEqual([
    'ORGTRAIL_HTTP_PORT must be an integer between 0 and 65535, not "x"',
    'F:1:13: api_budget must be an integer between 10 and 1000000000, not "1"',
    'F:3:14: cloudflare.api_token has spaces or control characters in it',
    'F:3:14: cloudflare.api_token and cloudflare.api_key are both set: set only one way of authenticating',
    'F:5:17: database.url must be postgres://USER:PASSWORD@HOST:PORT/DATABASE',
    'F:6:18: feed_token_file: the file cannot be read (ENOENT)',
    expect.stringMatching(/^F:7:1: filters: unknown filter "action_tipe"/),
    'F:9:1: "leese" is not a setting; did you mean lease?',
    'F:11:3: sinks.siem.token is missing',
    'F:13:10: sinks.siem.url must be a URL with https: or http: and no password',
    'F:14:11: sinks.siem.tokn is not a setting of this type of sink; did you mean "token"?',
    'F:15:50: sinks.log.organizations.1 must be a value of type string',
  ]);
  expect(faults.join()).not.toContain('SECRET');
});

test('faults a variable that contradicts the file is named as a variable', () =>
  expect(faultsOf('cloudflare: {api_key: k, email: e@x}', { CLOUDFLARE_API_TOKEN: 't' })).toEqual([
    'F:1:23: CLOUDFLARE_API_TOKEN and cloudflare.api_key are both set: set only one way of authenticating',
  ]));

test('faults a credential is missing only where no broken file could have it', () => {
  expect(faultsOf('lease: 30s')).toEqual([expect.stringMatching(/^no credential/)]);
  expect(faultsOf('lease: "')).toEqual([expect.stringMatching(/^F:1:9: a quote/)]);
});

test('faults a warning names the key', () =>
  expect(load(`${whole}history: 90d\nretention: 60d\n`).warnings).toEqual([
    `${path}:8:10: history reaches further back than retention keeps: only that much is read`,
  ]));

const refused = (name: string) =>
  readConfig({ ORGTRAIL_CONFIG: name }, options).faults.map(({ message }) => message.replaceAll(folder, 'D'));

test('the file itself that cannot be read, or is none', () => {
  mkdirSync(join(folder, 'folder'));
  expect(refused(join(folder, 'gone'))).toEqual(['ORGTRAIL_CONFIG: D/gone cannot be read (ENOENT)']);
  expect(refused(join(folder, 'folder'))).toEqual(['ORGTRAIL_CONFIG: D/folder is not a regular file']);
});

test('the file itself that is larger than 1 MiB is not read', () =>
  expect(refused(write(`# ${'x'.repeat(1024 * 1024)}`))).toEqual([
    'ORGTRAIL_CONFIG: D/orgtrail.yaml is larger than 1 MiB',
  ]));

test.each([0o620, 0o602, 0o666])('the file itself mode %o, which others may write, is refused', (mode) =>
  expect(refused(write(whole, mode))).toEqual([
    'ORGTRAIL_CONFIG: D/orgtrail.yaml can be written by other accounts: it is not read (chmod go-w D/orgtrail.yaml)',
  ]),
);

test.runIf(process.geteuid?.() === 0)('the file itself of another account is refused', () => {
  chownSync(write(whole), 54_321, 0);
  expect(refused(path)).toEqual([expect.stringMatching(/belongs to another account \(uid 54321\): it is not read/)]);
  chownSync(path, 0, 0);
});

test('the file itself with a secret that every account can read is warned of, by key', () => {
  const warningsOf = (text: string, mode: number) =>
    loadConfig({ ORGTRAIL_CONFIG: write(text, mode), CLOUDFLARE_API_TOKEN: 't' }, options).warnings;
  const warning = (keys: string) => [
    `${path} can be read by every account, and has a secret in ${keys}: chmod o-r ${path}`,
  ];
  const sink = 'sinks: {s: {type: splunk_hec, url: "https://s", token: abcdef}}';
  expect(warningsOf(whole, 0o644)).toEqual(warning('cloudflare.api_token, feed_token'));
  expect(warningsOf('database: {url: "postgres://u:p@127.0.0.1/d"}', 0o604)).toEqual(warning('database.url'));
  expect(warningsOf(sink, 0o644)).toEqual(warning('sinks'));
  expect(warningsOf(whole, 0o640)).toEqual([]);
  expect(warningsOf('database: {url: "postgres://u@127.0.0.1/d"}\nsinks: {f: {type: file, path: /x}}', 0o644)).toEqual(
    [],
  );
});

test('secrets of the file are read again; a broken file is not taken', () => {
  const env = { ORGTRAIL_CONFIG: write(whole) };
  const secrets = createLiveSecrets(env, loadConfig(env, options), { hidden: [] });
  write('cloudflare: {api_token: token-two}');
  expect(secrets.reload()).toBe(true);
  write('cloudflare: {api_token: "token-three');
  expect([secrets.reload(), secrets.credential.current()]).toEqual([false, { kind: 'token', token: 'token-two' }]);
});

const write = (text: string, mode?: number): string => file('orgtrail.yaml', text, mode);

/** With these variables beside the file. */
const load = (text: string, environment: Record<string, string> = {}) =>
  loadConfig({ ORGTRAIL_CONFIG: write(text), ...environment }, options);

const faultsOf = (text: string, environment: Record<string, string> = {}): string[] =>
  readConfig({ ORGTRAIL_CONFIG: write(text), ...environment }, options).faults.map((fault) =>
    describeFault(fault).replaceAll(path, 'F'),
  );

const whole = `
cloudflare: {api_token: token-of-the-file}
api_budget: 1000
settle: [1m, 2h]
feed_token: feed-token-of-the-file
sinks:
  log: {type: file, path: /x/log, keep: 3}
`;
