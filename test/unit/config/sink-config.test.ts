import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig, secretsOf } from '../../../src/app/config/config.ts';
import { redactorOf } from '../../../src/sinks/registry.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const SECRET = 'Secr3t-Value-0123456789';
const es = { type: 'elasticsearch', url: 'https://e', index: 'x' };
const WHSEC = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;
const { folder, file } = temporaryFolder();

it('ORGTRAIL_SINKS names sinks, with what is not said as documented', () => {
  const { sinks, warnings } = load({ archive: { type: 'file', path: '/var/log/a.ndjson', timeout: '5s' } });
  const common = {
    events: 'entries',
    start: 'beginning',
    copies: 'all',
    batch_events: 500,
    timeout: 5_000,
    format: 'native',
  };
  expect(sinks).toEqual([
    { name: 'archive', settings: { type: 'file', path: '/var/log/a.ndjson', max_bytes: 104_857_600, ...common } },
  ]);
  expect(warnings).toEqual([]);
});

it('ORGTRAIL_SINKS may be a file', () => {
  const path = file('sinks.json', JSON.stringify({ a: { type: 'file', path: '/x' } }));
  const { sinks } = loadConfig({ ORGTRAIL_SINKS_FILE: path }, { needsCredential: false, interactive: false });
  expect(sinks.map(({ name }) => name)).toEqual(['a']);
});

it('ORGTRAIL_SINKS takes secrets from files', () => {
  const { sinks } = load({
    hec: { type: 'splunk_hec', url: 'https://s/x', token_file: file('token', `${SECRET}\n`) },
  });
  expect(sinks[0]?.settings).toMatchObject({ token: SECRET });
});

it('ORGTRAIL_SINKS has all its faults named at once, by path', () => {
  const makeOne = '`echo "whsec_$(openssl rand -base64 32)"` makes one';
  expect(
    faultsOf({
      a: { type: 'file' },
      b: { type: 'webhook', url: 'ftp://x', secret: 'short', batch_events: 0, timeout: 'soon', tokn: 1 },
      c: { type: 'webhok' },
      d: { type: 'elasticsearch', url: 'https://e', index: 'logs', format: 'cef', organizations: [], start: 3 },
      e: 'file',
      'Not A Name': { type: 'file', path: '/x' },
      f: { type: 'splunk_hec', url: 'https://s', token_file: join(folder, 'none') },
      g: { type: 'syslog', url: 'tls://s', batch_events: 1.5, facility: 24 },
      h: { type: 'webhook', url: 'https://h' },
      i: { type: 'file', path: '/i', max_age: 'old', max_event_bytes: 0, max_interval: '6m' },
    }),
  ).toEqual([
    'ORGTRAIL_SINKS.a.path is missing',
    'ORGTRAIL_SINKS.b.batch_events must be at least 1',
    'ORGTRAIL_SINKS.b.timeout must be a duration such as 30s',
    'ORGTRAIL_SINKS.b.url must be a URL with https: or http: and no password',
    `ORGTRAIL_SINKS.b.secret must be whsec_ and base64 of 24 to 64 bytes: ${makeOne}`,
    'ORGTRAIL_SINKS.b.tokn is not a setting of this type of sink',
    // These names are a contract; there may be more.
    expect.stringMatching(
      /^ORGTRAIL_SINKS\.c\.type must be one of syslog, splunk_hec, elasticsearch, webhook, file(, \w+)*; did you mean "webhook"\?$/,
    ),
    'ORGTRAIL_SINKS.d.start must be one of beginning, now',
    'ORGTRAIL_SINKS.d.organizations is empty',
    expect.stringMatching(/^ORGTRAIL_SINKS\.d\.format must be one of ecs, native, ocsf, logpush(, \w+)*$/),
    'ORGTRAIL_SINKS.e must be an object',
    'ORGTRAIL_SINKS: the name of a sink must have 1 to 40 characters of a-z, 0-9, _ and -',
    'ORGTRAIL_SINKS.f.token_file: the file cannot be read (ENOENT)',
    'ORGTRAIL_SINKS.g.batch_events must be an integer',
    'ORGTRAIL_SINKS.g.facility must be at most 23',
    `ORGTRAIL_SINKS.h.secret is missing: ${makeOne}`,
    'ORGTRAIL_SINKS.i.max_age must be a duration such as 18h, or none',
    'ORGTRAIL_SINKS.i.max_event_bytes must be at least 1',
    'ORGTRAIL_SINKS.i.max_interval must be a duration from 1s to 5m',
  ]);
});

it('ORGTRAIL_SINKS refuses checkpoints in a format that is not JSON, and without evidence', () => {
  const file = { type: 'file', path: '/x', checkpoints: true };
  const noEvidence = 'ORGTRAIL_SINKS.a.checkpoints needs ORGTRAIL_EVIDENCE_ORIGIN: without it there are none';
  expect(faultsOf({ a: file })).toEqual([noEvidence]);
  expect(faultsOf({ a: { ...file, format: 'cef' } })).toEqual([
    'ORGTRAIL_SINKS.a.checkpoints sends records in JSON, and the format cef is not JSON: use native or another that is',
    noEvidence,
  ]);
  const { sinks } = load({ a: file }, { ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' });
  expect(sinks[0]?.settings).toMatchObject({ checkpoints: true });
  const slack = { type: 'slack', webhook_url: 'https://hooks.slack.com/services/x', checkpoints: true };
  expect(faultsOf({ a: slack }).join()).toContain('.checkpoints go with entries');
  expect(faultsOf({ a: { type: 's3', bucket: 'audit', checkpoints: true } }).join()).toContain(
    '.checkpoints are not for s3',
  );
});

// biome-ignore format: a table
it.each<[string, unknown, string]>([
  [
    'api_key and username',
    { ...es, api_key: 'k', username: 'u', password: 'p' },
    '.api_key and .username are both set: set only one way of authenticating',
  ],
  ['a user without a password', { ...es, username: 'u' }, ' needs username and password together'],
  ['half a client certificate', { type: 'syslog', url: 'tls://s', cert_file: '/dev/null' }, ' needs cert_file and key_file together'],
  ['TLS without TLS', { type: 'syslog', url: 'tcp://s', ca_file: '/dev/null' }, ' has files for TLS, but its url is not tls:'],
  ['no such file', { type: 'syslog', url: 'tls://s', ca_file: '/none/ca.pem' }, '.ca_file: the file cannot be read'],
  [
    'two ways of authenticating over HTTP',
    { type: 'http', url: 'https://h', token: SECRET, headers: { Authorization: SECRET } },
    '.token and .headers.authorization are both set: set only one',
  ],
  [
    'a header that the request says itself',
    { type: 'http', url: 'https://h', headers: { Host: SECRET } },
    '.headers must not have connection, content-encoding, content-length, host, idempotency-key, transfer-encoding',
  ],
  ['a header twice', { type: 'http', url: 'https://h', headers: { 'X-A': SECRET, 'x-a': SECRET } }, '.headers must not have a name twice'],
  ['a header over two lines', { type: 'http', url: 'https://h', headers: { 'X-A': `${SECRET}\n` } }, '.headers must have values of printable ASCII'],
  [
    'findings in a format of entries',
    { type: 'http', url: 'https://h', events: 'detections', format: 'ocsf' },
    '.format must be one of native, ecs for these events',
  ],
  ['a severity of entries', { type: 'http', url: 'https://h', min_severity: 'high' }, '.min_severity is for "events": "detections"'],
  ['a format of messages', { type: 'slack', webhook_url: 'https://h', format: 'ecs' }, '.format does not apply: this kind writes messages of its own'],
  [
    'a secret twice',
    { type: 'splunk_hec', url: 'https://s', token: SECRET, token_file: '/dev/null' },
    '.token and ORGTRAIL_SINKS.x.token_file are both set: set only one',
  ],
])('ORGTRAIL_SINKS is refused where it contradicts itself: %s', (_, sink, fault) =>
  expect(faultsOf({ x: sink })).toContain(`ORGTRAIL_SINKS.x${fault}`),
);

it('ORGTRAIL_SINKS is refused where two sinks have one file, however they call it', () => {
  const sinks = { a: { type: 'file', path: '/var/log/x' }, b: { type: 'file', path: '/var/./log/y/../x' } };
  expect(faultsOf(sinks)).toEqual(['ORGTRAIL_SINKS.b.path is also that of ORGTRAIL_SINKS.a']);
});

it('ORGTRAIL_SINKS says where it ends being JSON, and no more', () => {
  expect(faultsOf(`{"a": {"token": "${SECRET}}`)[0]).toMatch(/^ORGTRAIL_SINKS must be a JSON object.*at position \d+$/);
  expect(faultsOf('[1]')[0]).toMatch(/^ORGTRAIL_SINKS must be a JSON object of sinks/);
});

it('ORGTRAIL_SINKS warns of a credential over plain http, but on loopback', () => {
  const hec = (url: string) => load({ x: { type: 'splunk_hec', url, token: SECRET } }).warnings;
  expect(hec('http://splunk.example.com:8088')).toEqual([
    'ORGTRAIL_SINKS.x.url sends its credential over plain http to splunk.example.com',
  ]);
  expect([hec('http://127.0.0.1:8088'), hec('https://splunk.example.com')]).toEqual([[], []]);
});

it('headers of a sink come from a file, a name and a value on each line', () => {
  const headers_file = file('headers', `X-Api-Key: ${SECRET}\nX-Team:  a b \n\n`);
  const config = load({ lake: { type: 'http', url: 'https://h', headers_file } });
  expect(config.sinks[0]?.settings).toMatchObject({ headers: { 'x-api-key': SECRET, 'x-team': 'a b' } });
  expect(secretsOf(config)).toContain(SECRET);
});

it('headers of a sink that are no headers are named by the file, and not shown', () => {
  const headers_file = file('token-alone', SECRET);
  expect(faultsOf({ lake: { type: 'http', url: 'https://h', headers_file } })).toEqual([
    'ORGTRAIL_SINKS.lake.headers_file must be an object of headers; in a file, a "Name: value" on each line',
  ]);
});

const sinks = {
  hec: { type: 'splunk_hec', url: 'https://s', token: SECRET },
  es: { ...es, username: 'user', password: `${SECRET}-p` },
  key: { ...es, api_key: `${SECRET}-k` },
  hook: { type: 'webhook', url: `https://h/x?code=${SECRET}-q&v=1`, secret: WHSEC },
};
const basic = Buffer.from(`user:${SECRET}-p`).toString('base64');

it('secrets of sinks are all known to the log, also as they go over the wire', () =>
  expect(secretsOf(load(sinks))).toEqual([
    SECRET,
    `${SECRET}-p`,
    basic,
    `${SECRET}-k`,
    WHSEC,
    WHSEC.slice(6),
    `code=${SECRET}-q&v=1`,
    `${SECRET}-q`,
  ]));

it("secrets of sinks of Amazon's variables are among them if a sink may be signed with them", () => {
  const aws = {
    AWS_ACCESS_KEY_ID: 'id',
    AWS_SECRET_ACCESS_KEY: `${SECRET}-aws`,
    AWS_SESSION_TOKEN: `${SECRET}-session`,
  };
  const lake = { type: 's3', bucket: 'audit' };
  expect(secretsOf(load({ lake }, aws))).toEqual([`${SECRET}-aws`, `${SECRET}-session`]);
  expect(secretsOf(load({}, aws))).toEqual([]);
  expect(load({ lake }, aws).aws).toMatchObject(aws);
  const own = {
    ...lake,
    access_key_id: `${SECRET}-id`,
    secret_access_key_file: file('s3-secret', `${SECRET}-own\n`),
  };
  expect(secretsOf(load({ own }))).toEqual([`${SECRET}-id`, `${SECRET}-own`]);
});

it('secrets of sinks are taken out of what a receiver says', () => {
  const es = load(sinks).sinks.find(({ name }) => name === 'es');
  expect(es && redactorOf(es.settings)(`no: Basic ${basic}, ${SECRET}-p`)).toBe('no: Basic [redacted], [redacted]');
});

it.each<[string, unknown]>([
  ['in a URL', { type: 'webhook', url: `https://u:${SECRET}@h`, secret: WHSEC }],
  ['as a whole that is no JSON', `{"a": ${SECRET}}`],
  ['of the wrong form', { type: 'webhook', url: 'https://h', secret: SECRET }],
  ['of the wrong type', { type: 'splunk_hec', url: 'https://h', token: [SECRET] }],
  ['as the name of its file', { type: 'splunk_hec', url: 'https://h', token_file: SECRET }],
  ['as a format', { type: 'splunk_hec', url: 'https://h', token: 'x', format: SECRET }],
  ['as a type', { type: SECRET }],
  ['as a start', { type: 'file', path: '/x', start: SECRET, timeout: SECRET }],
  ['as an index', { type: 'elasticsearch', url: 'https://h', index: SECRET }],
  ['as a file of certificates', { type: 'syslog', url: 'tls://h', ca_file: SECRET }],
])('secrets of sinks reach no fault: %s', (_, sink) => {
  const faults = faultsOf(typeof sink === 'string' ? sink : { x: sink }).join('\n');
  expect(faults).not.toBe('');
  expect(faults).not.toContain(SECRET.slice(0, 12));
});

const load = (sinks: unknown, more: Record<string, string> = {}) =>
  loadConfig(
    { ORGTRAIL_SINKS: typeof sinks === 'string' ? sinks : JSON.stringify(sinks), ...more },
    { needsCredential: false, interactive: false },
  );

const faultsOf = (sinks: unknown): string[] => {
  try {
    load(sinks);
  } catch (error) {
    return String(error)
      .split('\n')
      .slice(1)
      .map((line) => line.replace('  - ', ''));
  }
  return [];
};
