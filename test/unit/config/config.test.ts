import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Config, loadConfig } from '../../../src/app/config/config.ts';
import { unknownSettings } from '../../../src/app/config/settings-list.ts';
import { horizonOf } from '../../../src/app/sync-context.ts';
import { OrgtrailError } from '../../../src/base/errors.ts';

it('defaults are the documented ones', () =>
  expect(load()).toEqual({
    credential: { kind: 'token', token: TOKEN },
    credentials: [
      {
        name: 'default',
        credential: { kind: 'token', token: TOKEN },
        budget: 900,
        accounts: true,
        organizations: true,
      },
    ],
    baseUrl: 'https://api.cloudflare.com/client/v4',
    databaseUrl: undefined,
    dataDir: './data',
    schedule: '*/30 * * * * *',
    thawMaxBytes: 50_000_000_000,
    tickMs: 30_000,
    history: { durationMs: 548 * 86_400_000 },
    retentionMs: Number.POSITIVE_INFINITY,
    settleDelaysMs: [600_000, 86_400_000, 604_800_000, 2_592_000_000],
    organizationIds: undefined,
    sources: ['organization', 'account'],
    geoip: [],
    accounts: 'all',
    filters: { organization: [], account: [] },
    apiBudget: 900,
    concurrency: 16,
    fastPath: true,
    scrub: { share: 0.05, everyMs: 604_800_000 },
    leaseMs: 30_000,
    aws: {},
    sinks: [],
    http: {
      host: '127.0.0.1',
      port: 8080,
      feedToken: undefined,
      stallTimeoutMs: 60_000,
      healthAccess: 'open',
      trustedProxies: [],
    },
    log: { level: 'info', format: 'json' },
    unknownSettings: [],
    warnings: [],
  }));

it('defaults stand in for a variable that is set to nothing', () => {
  const names = 'BASE_URL EMAIL API_KEY API_KEY_FILE'.split(' ').map((name) => `CLOUDFLARE_${name}`);
  const own =
    'DATA_DIR SCHEDULE HISTORY RETENTION SETTLE ORGANIZATIONS FILTERS API_BUDGET SCRUB_SHARE SCRUB_EVERY CONCURRENCY LEASE HTTP_HOST HTTP_PORT'.split(
      ' ',
    );
  const more = ['FEED_TOKEN', 'FEED_TOKEN_FILE', 'LOG_LEVEL', 'LOG_FORMAT', 'UNKNOWN'];
  const all = [...names, ...[...own, ...more].map((name) => `ORGTRAIL_${name}`), 'DATABASE_URL', 'DATABASE_URL_FILE'];
  expect(load(Object.fromEntries(all.map((name) => [name, ''])))).toEqual(load());
});

it('defaults log for people on a terminal, unless told otherwise', () => {
  expect(load({}, true).log.format).toBe('pretty');
  expect(load({ ORGTRAIL_LOG_FORMAT: 'json' }, true).log.format).toBe('json');
  expect(load({ ORGTRAIL_LOG_FORMAT: 'pretty' }).log.format).toBe('pretty');
});

it('ORGTRAIL_RETENTION is a duration of a day or more, or forever', () => {
  expect(load({ ORGTRAIL_RETENTION: '730d' }).retentionMs).toBe(730 * 86_400_000);
  expect(load({ ORGTRAIL_RETENTION: 'forever' }).retentionMs).toBe(Number.POSITIVE_INFINITY);
  for (const text of ['0d', '23h', '2y', 'never', '2025-01-01']) {
    expect(errorOf({ ORGTRAIL_RETENTION: text }).message).toContain('must be a duration of at least 1d such as 730d');
  }
});

it('ORGTRAIL_RETENTION leaves the settle passes the time that they read again', () => {
  expect(errorOf({ ORGTRAIL_RETENTION: '1d' }).message).toContain(
    'must be longer than the last delay of ORGTRAIL_SETTLE (30d)',
  );
  expect(errorOf({ ORGTRAIL_RETENTION: '3d', ORGTRAIL_SETTLE: '10m,72h' }).message).toContain('must be longer');
  expect(load({ ORGTRAIL_RETENTION: '1d', ORGTRAIL_SETTLE: '10m' }).warnings).toEqual([]);
});

it('ORGTRAIL_RETENTION is warned of if ORGTRAIL_HISTORY is more than it keeps, and limits the horizon', () => {
  expect(load({ ORGTRAIL_RETENTION: '90d' }).warnings).toEqual([]);
  const both = load({ ORGTRAIL_RETENTION: '90d', ORGTRAIL_HISTORY: '365d' });
  expect(both.warnings).toEqual([
    expect.stringContaining('ORGTRAIL_HISTORY reaches further back than ORGTRAIL_RETENTION keeps'),
  ]);
  const nowMs = Date.UTC(2026, 5, 1);
  expect(horizonOf(both, nowMs)).toBe(nowMs - 90 * 86_400_000);
  expect(horizonOf({ ...both, history: { durationMs: 1_000 } }, nowMs)).toBe(nowMs - 1_000);
  expect(horizonOf(load(), nowMs)).toBe(nowMs - 548 * 86_400_000);
});

const filters = (organization: readonly string[][], ...account: readonly string[][]) => ({
  filters: { organization, account },
});

// biome-ignore format: a table
it.each<[string, string, object]>([
  ['CLOUDFLARE_BASE_URL', 'https://api.example.com/v4//', { baseUrl: 'https://api.example.com/v4' }],
  ['DATABASE_URL', 'postgresql://u:p@h/d', { databaseUrl: 'postgresql://u:p@h/d' }],
  ['ORGTRAIL_SCHEDULE', '0 * * * * *', { schedule: '0 * * * * *', tickMs: 60_000 }],
  ['ORGTRAIL_HISTORY', '90d', { history: { durationMs: 90 * 86_400_000 } }],
  ['ORGTRAIL_HISTORY', '2025-06-01', { history: { sinceMs: Date.UTC(2025, 5, 1) } }],
  ['ORGTRAIL_HISTORY', '2025-06-01T01:00:00+01:00', { history: { sinceMs: Date.UTC(2025, 5, 1) } }],
  ['ORGTRAIL_SETTLE', ' 1m, 1h ,2d', { settleDelaysMs: [60_000, 3_600_000, 172_800_000] }],
  ['ORGTRAIL_ORGANIZATIONS', 'a1, b-2 c_3,a1', { organizationIds: ['a1', 'b-2', 'c_3'] }],
  ['ORGTRAIL_ORGANIZATIONS', ' , ', { organizationIds: undefined }],
  ['ORGTRAIL_SOURCES', 'accounts, organizations', { sources: ['account', 'organization'] }],
  ['ORGTRAIL_ACCOUNTS', 'organizations', { accounts: 'organizations' }],
  ['ORGTRAIL_ACCOUNTS', 'a1, b2,a1', { accounts: ['a1', 'b2'] }],
  ['ORGTRAIL_FILTERS_ACCOUNTS', 'product_category=zt&zone_id.not=z', filters([], ['product_category', 'zt'], ['zone_id.not', 'z'])],
  ['ORGTRAIL_FILTERS_ORGANIZATIONS', 'id=a', filters([['id', 'a']])],
  ['ORGTRAIL_FILTERS', 'id=b&id=a', filters([['id', 'a'], ['id', 'b']], ['id', 'a'], ['id', 'b'])],
  ['ORGTRAIL_API_BUDGET', ' 1200 ', { apiBudget: 1_200 }],
  ['ORGTRAIL_SCRUB_SHARE', ' 2.5% ', { scrub: { share: 0.025, everyMs: 604_800_000 } }],
  ['ORGTRAIL_SCRUB_SHARE', '0', { scrub: { share: 0, everyMs: 604_800_000 } }],
  ['ORGTRAIL_SCRUB_EVERY', '1d', { scrub: { share: 0.05, everyMs: 86_400_000 } }],
  ['ORGTRAIL_CONCURRENCY', '64', { concurrency: 64 }],
  ['ORGTRAIL_LEASE', '5s', { leaseMs: 5_000 }],
  ['ORGTRAIL_HTTP_PORT', '0', { http: { port: 0 } }],
  ['ORGTRAIL_TRUSTED_PROXIES', '10.0.0.5, fd00::/8', { http: { trustedProxies: ['10.0.0.5', 'fd00::/8'] } }],
  ['ORGTRAIL_STALL_TIMEOUT', '2m', { http: { stallTimeoutMs: 120_000 } }],
  ['ORGTRAIL_HEALTH_ACCESS', 'token', { http: { healthAccess: 'token' } }],
  ['ORGTRAIL_LOG_LEVEL', 'DEBUG', { log: { level: 'debug', format: 'json' } }],
])('settings %s=%s is read', (name, value, expected) => expect(load({ [name]: value })).toMatchObject(expected));

// biome-ignore format: a table
it.each(Object.entries({
  ORGTRAIL_TRUSTED_PROXIES: ['proxy.example', '10.0.0.0/33', '*'],
  CLOUDFLARE_BASE_URL: ['api.cloudflare.com', 'ftp://api.cloudflare.com', 'https://api.cloudflare.com/?x=1', 'https://api.cloudflare.com/#x', 'https://user@api.cloudflare.com', 'https://:password@api.cloudflare.com'],
  DATABASE_URL: ['mysql://h/d'],
  ORGTRAIL_SCHEDULE: ['often'],
  ORGTRAIL_HISTORY: ['0d', '2024-02-30'],
  ORGTRAIL_SETTLE: ['24h,10m', '10m,10m', '500ms', '10m,soon'],
  ORGTRAIL_ORGANIZATIONS: ['a/b'],
  ORGTRAIL_FILTERS: ['colour=red'],
  ORGTRAIL_API_BUDGET: ['9', '1e3'],
  ORGTRAIL_SCRUB_SHARE: ['5', '51%', '-1%'],
  ORGTRAIL_SCRUB_EVERY: ['0s'],
  ORGTRAIL_CONCURRENCY: ['0', '65'],
  ORGTRAIL_LEASE: ['500ms', '11m'],
  ORGTRAIL_STALL_TIMEOUT: ['500ms', '2h'],
  ORGTRAIL_HTTP_PORT: ['65536', '-1'],
  ORGTRAIL_FEED_TOKEN: ['short'],
  ORGTRAIL_LOG_LEVEL: ['loud'],
  ORGTRAIL_LOG_FORMAT: ['xml'],
}))('settings %s is refused with its name if it is any of %j', (name, values) => {
  for (const value of values) {
    const { message, code, exitCode } = errorOf({ [name]: value });
    expect(message).toMatch(new RegExp(`^configuration error:\\n {2}- ${name}:? [^\\n]+$`));
    expect({ code, exitCode }).toEqual({ code: 'configuration', exitCode: 2 });
  }
});

it('settings are refused all at once, in one error (invariant 13)', () => {
  const { message } = errorOf({
    CLOUDFLARE_API_KEY: 'key',
    ORGTRAIL_HISTORY: 'long',
    ORGTRAIL_HTTP_PORT: 'http',
    ORGTRAIL_FILTERS: 'since=1&colour=red',
    DATABASE_URL_FILE: '/does/not/exist',
  });
  const named = message
    .split('\n  - ')
    .slice(1)
    .map((fault) => fault.split(/[ :]/)[0]);
  expect(message).toMatch(/^6 configuration errors:/);
  // biome-ignore format: a table
  expect(named.toSorted()).toEqual([
    'CLOUDFLARE_API_TOKEN', 'DATABASE_URL_FILE', 'ORGTRAIL_FILTERS', 'ORGTRAIL_FILTERS', 'ORGTRAIL_HISTORY', 'ORGTRAIL_HTTP_PORT',
  ]);
});

it('settings cannot be changed once they are read', () => {
  const config = load({ ORGTRAIL_FILTERS: 'id=a', ORGTRAIL_ORGANIZATIONS: 'a' });
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen));
  expect(frozen(config)).toBe(true);
});

it.each<[string, Record<string, string>, RegExp]>([
  ['a variable that nothing reads', { ORGTRAIL_CONCURENCY: '2' }, /^ORGTRAIL_CONCURENCY is not a setting/],
  ['a file for what is no secret', { ORGTRAIL_HTTP_PORT_FILE: '/x' }, /^ORGTRAIL_HTTP_PORT_FILE is not a setting/],
  ['a credential over plain http', { CLOUDFLARE_BASE_URL: 'http://proxy.example' }, /plain http to proxy\.example$/],
  ['the same in capitals', { CLOUDFLARE_BASE_URL: ' HTTP://proxy.example' }, /plain http to proxy\.example$/],
  ['a name that only begins as local', { CLOUDFLARE_BASE_URL: 'http://localhost.example' }, /localhost\.example$/],
  [
    'plain PostgreSQL on another host',
    { DATABASE_URL: 'postgres://u:p@db.example/d' },
    /^DATABASE_URL connects to db\.example in plain text: add sslmode=verify-full, or sslmode=disable/,
  ],
  [
    'a host that only begins as a loopback address',
    { DATABASE_URL: 'postgres://u:p@127.attacker.example/d' },
    /127\.attacker\.example in plain/,
  ],
  [
    'plain syslog',
    { ORGTRAIL_SINKS: '{"siem":{"type":"syslog","url":"tcp://siem.example"}}' },
    /^ORGTRAIL_SINKS\.siem\.url sends events in plain text to siem\.example: use tls:$/,
  ],
  ['an email beside a token', { CLOUDFLARE_EMAIL: 'a@b.example' }, /^CLOUDFLARE_EMAIL does nothing beside/],
  ['a name for an id', { ORGTRAIL_ORGANIZATIONS: 'o1,Acme' }, /^ORGTRAIL_ORGANIZATIONS must have ids, and Acme/],
  ['no settle pass', { ORGTRAIL_SETTLE: 'none' }, /^ORGTRAIL_SETTLE is none/],
  ['a last settle pass that comes soon', { ORGTRAIL_SETTLE: '5s' }, /^the last settle pass comes after 5s/],
])('warnings are given for %s', (_, environment, expected) =>
  expect(load(environment).warnings).toEqual([expect.stringMatching(expected)]),
);

it('warnings are not given for what is as it should be', () => {
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]']) {
    expect(load({ CLOUDFLARE_BASE_URL: `http://${host}:8788/v4` }).warnings).toEqual([]);
  }
  for (const url of ['u:p@localhost/d', 'u:p@127.0.0.1:5432/d', 'u:p@[::1]/d', 'u@/d?host=/var/run/postgresql']) {
    expect(load({ DATABASE_URL: `postgres://${url}` }).warnings, url).toEqual([]);
  }
  for (const mode of ['sslmode=verify-full', 'sslmode=disable', 'ssl=true', 'sslnegotiation=direct']) {
    expect(load({ DATABASE_URL: `postgres://u:p@db.example/d?${mode}` }).warnings, mode).toEqual([]);
  }
  const syslog = (url: string) => load({ ORGTRAIL_SINKS: JSON.stringify({ siem: { type: 'syslog', url } }) }).warnings;
  for (const url of ['tls://siem.example', 'tcp://127.0.0.1', 'tcp://[::1]:514']) expect(syslog(url), url).toEqual([]);
  expect(load({ ORGTRAIL_FILTERS: 'id=a', ORGTRAIL_SETTLE: '1m', PATH: '/bin', OTHER: 'x' }).warnings).toEqual([]);
});

it.each([
  ['ORGTRAIL_HISTORI', 'ORGTRAIL_HISTORI is not a setting; did you mean ORGTRAIL_HISTORY?'],
  ['ORGTRAIL_CONCURENCY', 'ORGTRAIL_CONCURENCY is not a setting; did you mean ORGTRAIL_CONCURRENCY?'],
  ['ORGTRAIL_FEED_TOKEN_FILES', 'ORGTRAIL_FEED_TOKEN_FILES is not a setting; did you mean ORGTRAIL_FEED_TOKEN_FILE?'],
  [
    'ORGTRAIL_HTTP_PORT_FILE',
    'ORGTRAIL_HTTP_PORT_FILE is not a setting: ORGTRAIL_HTTP_PORT cannot be read from a file',
  ],
  ['ORGTRAIL_SOMETHING_ELSE', 'ORGTRAIL_SOMETHING_ELSE is not a setting and is ignored'],
])('unknownSettings %s: %s', (name, warning) => expect(unknownSettings([name])).toEqual([warning]));

it('unknownSettings leaves the variables of others alone', () =>
  expect(unknownSettings(['PATH', 'CLOUDFLARE_ACCOUNT_ID', 'ORGTRAIL', 'MY_ORGTRAIL_X'])).toEqual([]));

it('unknownSettings knows every variable that the code, the documents and the deployments name', () => {
  const files = execFileSync('git', ['ls-files', 'src', 'docs', 'deploy', 'README.md', 'Dockerfile'], {
    encoding: 'utf8',
  });
  const texts = files
    .split('\n')
    .filter((file) => /\.(ts|md|ya?ml|env|example|service|sh)$|Dockerfile$/.test(file))
    .map((file) => readFileSync(file, 'utf8'));
  const names = new Set(texts.flatMap((text) => text.match(/\bORGTRAIL_[A-Z][A-Z_]*[A-Z]\b/g) ?? []));
  expect(names.size).toBeGreaterThan(20);
  expect(unknownSettings([...names])).toEqual([]);
});

const TOKEN = 'token-0123456789';

const load = (environment: Record<string, string | undefined> = {}, interactive = false): Config =>
  loadConfig({ CLOUDFLARE_API_TOKEN: TOKEN, ...environment }, { needsCredential: true, interactive });

const errorOf = (environment: Record<string, string>): OrgtrailError => {
  try {
    load(environment);
  } catch (error) {
    if (error instanceof OrgtrailError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
};
