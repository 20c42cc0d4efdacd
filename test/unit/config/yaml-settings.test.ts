import { expect, test } from 'vitest';
import { describeFault, keyOf, settingNames } from '../../../src/app/config/settings-list.ts';
import { readYamlSettings } from '../../../src/app/config/yaml.ts';

test.each([
  ['api_budget: 900', { ORGTRAIL_API_BUDGET: '900' }],
  ['api_budget: "900"', { ORGTRAIL_API_BUDGET: '900' }],
  ['scrub_share: 0', { ORGTRAIL_SCRUB_SHARE: '0' }],
  ['scrub_share: 5%', { ORGTRAIL_SCRUB_SHARE: '5%' }],
  ['history: 2025-06-01', { ORGTRAIL_HISTORY: '2025-06-01' }],
  [
    'cloudflare:\n  api_token: abc\n  base_url: https://x',
    { CLOUDFLARE_API_TOKEN: 'abc', CLOUDFLARE_BASE_URL: 'https://x' },
  ],
  ['cloudflare: {api_token_file: /t}', { CLOUDFLARE_API_TOKEN_FILE: '/t' }],
  ['database: {url: "postgres://h/d"}', { DATABASE_URL: 'postgres://h/d' }],
  ['settle: [10m, 24h]', { ORGTRAIL_SETTLE: '10m,24h' }],
  ['settle: none', { ORGTRAIL_SETTLE: 'none' }],
  ['organizations:\n  - a\n  - b', { ORGTRAIL_ORGANIZATIONS: 'a,b' }],
  [
    'organizations: &both [a, b]\ntrusted_proxies: *both',
    { ORGTRAIL_ORGANIZATIONS: 'a,b', ORGTRAIL_TRUSTED_PROXIES: 'a,b' },
  ],
  // As it is written: an id is no number, and a token keeps its zeros.
  ['organizations: [12e4, 0x10]', { ORGTRAIL_ORGANIZATIONS: '12e4,0x10' }],
  ['feed_token: 00000000000000000042', { ORGTRAIL_FEED_TOKEN: '00000000000000000042' }],
  [
    'filters: [action_type.not=view, actor_email=a+b@x=y]',
    { ORGTRAIL_FILTERS: 'action_type.not=view&actor_email=a%2Bb%40x%3Dy' },
  ],
  ['filters: action_type.not=view&id=1', { ORGTRAIL_FILTERS: 'action_type.not=view&id=1' }],
  ['sinks:\n  f:\n    type: file\n    keep: 3', { ORGTRAIL_SINKS: '{"f":{"type":"file","keep":3}}' }],
  ['', {}],
  ['# nothing', {}],
  ['feed_token:\ncloudflare:\nhistory: ""\norganizations: []\nsinks:', {}],
])('a YAML file says what the environment would say: %s', (text, settings) =>
  expect(settingsOf(text)).toEqual(settings),
);

test('a YAML file says what the environment would say: every setting has a key, no two the same', () => {
  const keys = settingNames.map(keyOf);
  expect(new Set(keys).size).toBe(keys.length);
  for (const key of keys) expect(key).toMatch(/^(cloudflare\.|database\.)?[a-z][a-z0-9_]+$/);
});

// biome-ignore format: a table
test.each([
    ['zzzqqq: 1', ['o.yaml:1:1: "zzzqqq" is not a setting of this version']],
    ['# x\napi_budgett: 900', ['o.yaml:2:1: "api_budgett" is not a setting; did you mean api_budget?']],
    ['ORGTRAIL_LEASE: 3s', ['o.yaml:1:1: "ORGTRAIL_LEASE" is not a setting; did you mean lease?']],
    ['CLOUDFLARE_API_TOKEN: x', ['o.yaml:1:1: "CLOUDFLARE_API_TOKEN" is not a setting; did you mean cloudflare: api_token?']],
    ['cloudflare:\n  api_tokn: x', ['o.yaml:2:3: "cloudflare.api_tokn" is not a setting; did you mean cloudflare: api_token?']],
    ['cloudfare: {}', ['o.yaml:1:1: "cloudfare" is not a setting; did you mean cloudflare?']],
    ['cloudflare: SECRET', ['o.yaml:1:13: cloudflare must be a map, with keys such as api_token, email, api_key, credentials, base_url below it']],
    ['concurrency: [1]', ['o.yaml:1:14: concurrency must be a number']],
    ['feed_token: {a: SECRET}', ['o.yaml:1:13: feed_token must be text']],
    ['organizations: {a: b}', ['o.yaml:1:16: organizations must be a list, or text as in the environment']],
    ['organizations: [a, [SECRET]]', ['o.yaml:1:20: organizations must have items of text']],
    ['filters: [SECRET]', ['o.yaml:1:11: filters must have items such as action_type.not=view']],
    ['settle: []', ['o.yaml:1:9: settle is an empty list: write none, or leave it out for the default']],
    ['sinks: SECRET', ['o.yaml:1:8: sinks must be a map of sinks by name']],
    ['SECRET', ['o.yaml:1:1: the file must be a map of settings, such as "api_budget: 900"']],
    ['lease: 1s\nlease: 2s\nleese: 1s', ['o.yaml:2:1: this key is a duplicate', 'o.yaml:3:1: "leese" is not a setting; did you mean lease?']],
    ['sinks:\n  f: {type: file, type: SECRET}', ['o.yaml:2:19: this key is a duplicate']],
    ['lease: !!str 30s', ['o.yaml:1:14: tags (such as !!str) are refused: write the value alone']],
    ['sinks: !x\n  a: {}', ['o.yaml:2:3: tags (such as !!str) are refused: write the value alone']],
    ['lease: *gone', ['o.yaml:1:8: this alias has no anchor before it: text that begins with * belongs in quotes']],
    ['lease: "SECRET', ['o.yaml:1:15: a quote, a bracket, a comma or the colon after a key is missing before this place']],
    ['lease: SECRET\nSECRET', ['o.yaml:2:1: a quote, a bracket, a comma or the colon after a key is missing before this place']],
    ['cloudflare:\n\tapi_token: SECRET', ['o.yaml:2:1: a tab cannot indent: use spaces']],
    ['lease: 1s\n---\nlease: 1s', ['o.yaml:2:1: a second document begins here: the file must have one']],
    ['schedule: */30 * * * * *', [expect.stringMatching(/^o\.yaml:1:16: text that begins with \* .* quoted$/)]],
    ['lease: @SECRET', [expect.stringMatching(/^o\.yaml:1:8: text that begins with .* quoted$/)]],
    ['lease: "\\qSECRET"', [expect.stringMatching(/^o\.yaml:1:9: this is not an escape/)]],
  ])('what is wrong with it has its line and column: %s', (text, faults) => {
    expect(faultsOf(text)).toEqual(faults);
    expect(faultsOf(text).join()).not.toContain('SECRET');
  });

test.each([
  [
    'aliases of aliases',
    `organizations: &a [x, y]\nsinks:\n  s0: &s0 {o: *a}\n${Array.from({ length: 8 }, (_, n) => `  s${n + 1}: &s${n + 1} {p: *s${n}, q: *s${n}, r: *s${n}}\n`).join('')}`,
  ],
  ['an alias of itself', 'sinks: &s\n  a: {b: *s}\n'],
])('what is wrong with it has its line and column: %s are not resolved', (_what, text) =>
  expect(faultsOf(text)).toEqual([
    expect.stringMatching(/: sinks has more aliases than the 100 that are read, or one that leads to itself$/),
  ]),
);

test.each(['[', '{a: ', '- '])('what is wrong with it has its line and column: twenty thousand times %j', (opening) => {
  const [fault] = read(opening.repeat(20_000)).faults;
  expect(fault?.place?.line).toBe(1);
});

const read = (text: string) => readYamlSettings(text, 'o.yaml');

const settingsOf = (text: string) => {
  const { settings, faults } = read(text);
  expect(faults).toEqual([]);
  return settings;
};

const faultsOf = (text: string): string[] => read(text).faults.map(describeFault);
