import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../../src/app/config/config.ts';
import { OrgtrailError } from '../../../src/base/errors.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { folder, file } = temporaryFolder();

it.each<[string, Record<string, string>, unknown]>([
  ['a token', { CLOUDFLARE_API_TOKEN: ' t \n' }, { kind: 'token', token: 't' }],
  ['a token beside an email', { CLOUDFLARE_API_TOKEN: 't', CLOUDFLARE_EMAIL: 'e@x' }, { kind: 'token', token: 't' }],
  ['email and key', { CLOUDFLARE_EMAIL: 'e@x', CLOUDFLARE_API_KEY: 'k' }, { kind: 'key', email: 'e@x', key: 'k' }],
])('the credential is %s', (_, environment, credential) => expect(load(environment).credential).toEqual(credential));

it.each([
  ['nothing', {}, 'no credential: set CLOUDFLARE_API_TOKEN, or'],
  ['an email alone', { CLOUDFLARE_EMAIL: 'e@x' }, 'no credential: set CLOUDFLARE_API_TOKEN, or'],
  ['a key without an email', { CLOUDFLARE_API_KEY: 'k' }, 'CLOUDFLARE_API_KEY needs CLOUDFLARE_EMAIL beside it'],
  ['both ways', { CLOUDFLARE_API_TOKEN: 't', CLOUDFLARE_API_KEY: 'k', CLOUDFLARE_EMAIL: 'e@x' }, 'are both set'],
  ['a token of two lines', { CLOUDFLARE_API_TOKEN: 'a\nb' }, 'CLOUDFLARE_API_TOKEN has spaces or control'],
  ['a token of blanks', { CLOUDFLARE_API_TOKEN: '  ' }, 'CLOUDFLARE_API_TOKEN has spaces or control'],
  ['a token that is not ASCII', { CLOUDFLARE_API_TOKEN: 'tökén' }, 'CLOUDFLARE_API_TOKEN has spaces or control'],
])('the credential is refused: %s', (_, environment, fault) => expect(messageOf(environment)).toContain(fault));

it('the credential may be missing for commands that do not talk to Cloudflare, but not be half', () => {
  expect(load({}, false).credential).toBeUndefined();
  expect(() => load({ CLOUDFLARE_API_KEY: 'k' }, false)).toThrow('CLOUDFLARE_API_KEY needs CLOUDFLARE_EMAIL');
});

it('secrets in files are read without the line end', () => {
  const config = load({
    CLOUDFLARE_EMAIL_FILE: file('email', 'e@example.com\r\n'),
    CLOUDFLARE_API_KEY_FILE: file('key', ' key \n'),
    DATABASE_URL_FILE: file('url', 'postgres://u:p@h/d?sslmode=disable\n'),
    ORGTRAIL_FEED_TOKEN_FILE: file('feed', 'feed-token-0123456789\n'),
  });
  expect(config).toMatchObject({
    credential: { kind: 'key', email: 'e@example.com', key: 'key' },
    databaseUrl: 'postgres://u:p@h/d?sslmode=disable',
    http: { feedToken: 'feed-token-0123456789' },
    warnings: [],
  });
  expect(load({ CLOUDFLARE_API_TOKEN_FILE: file('token', 'abc\n') }).credential).toEqual({
    kind: 'token',
    token: 'abc',
  });
});

it('secrets in files are refused where the file is missing, a folder or empty', () => {
  const missing = messageOf({ CLOUDFLARE_API_TOKEN: 't', DATABASE_URL_FILE: join(folder, 'none') });
  expect(missing).toMatch(/DATABASE_URL_FILE.* cannot be read \(ENOENT\)/);
  expect(messageOf({ CLOUDFLARE_API_TOKEN_FILE: folder })).toMatch(
    /CLOUDFLARE_API_TOKEN_FILE.* cannot be read \(EISDIR\)/,
  );
  const empty = { CLOUDFLARE_API_TOKEN: 't', ORGTRAIL_FEED_TOKEN_FILE: file('empty', ' \n') };
  expect(messageOf(empty)).toMatch(/ORGTRAIL_FEED_TOKEN_FILE.* is empty/);
});

it('secrets in files are refused where the variable itself is set too', () => {
  const both = { CLOUDFLARE_API_TOKEN: 't', CLOUDFLARE_API_TOKEN_FILE: file('both', 'other') };
  expect(messageOf(both)).toContain('CLOUDFLARE_API_TOKEN and CLOUDFLARE_API_TOKEN_FILE are both set: set only one');
});

const SECRET = 'Secr3t-Value-0123456789';
it.each<[string, () => Record<string, string>]>([
  ['a token with a blank', () => ({ CLOUDFLARE_API_TOKEN: `${SECRET} x` })],
  ['a key without an email', () => ({ CLOUDFLARE_API_KEY: SECRET })],
  ['a database URL of another kind', () => ({ DATABASE_URL: `mysql://u:${SECRET}@h/d` })],
  ['a feed token that is too short', () => ({ ORGTRAIL_FEED_TOKEN: SECRET.slice(0, 12) })],
  ['a base URL with a user', () => ({ CLOUDFLARE_BASE_URL: `https://user:${SECRET}@example.com` })],
  ['a base URL with a password only', () => ({ CLOUDFLARE_BASE_URL: `https://:${SECRET}@example.com` })],
  ['a base URL without a scheme', () => ({ CLOUDFLARE_BASE_URL: `user:${SECRET}@example.com` })],
  ['a base URL with a query', () => ({ CLOUDFLARE_BASE_URL: `https://example.com/?token=${SECRET}` })],
  ['sinks that are no JSON', () => ({ ORGTRAIL_SINKS: `{"x": {"token": "${SECRET}}` })],
  ['sinks where their file should be named', () => ({ ORGTRAIL_SINKS_FILE: `{"x": {"token": "${SECRET}"}}` })],
  [
    'the token of a sink that has other faults',
    () => ({ ORGTRAIL_SINKS: JSON.stringify({ x: { type: 'splunk_hec', token: SECRET, url: SECRET } }) }),
  ],
  ['a token where its file should be named', () => ({ CLOUDFLARE_API_TOKEN_FILE: SECRET })],
  ['a URL where its file should be named', () => ({ DATABASE_URL_FILE: `postgres://u:${SECRET}@h/d` })],
  ['a bad secret in a file', () => ({ CLOUDFLARE_API_TOKEN_FILE: file('bad', `${SECRET} x`) })],
  ['both ways at once', () => ({ CLOUDFLARE_API_TOKEN: SECRET, CLOUDFLARE_API_KEY: SECRET, CLOUDFLARE_EMAIL: SECRET })],
])('no secret reaches the error %s', (_, environment) => {
  const message = messageOf(environment());
  expect(message).toContain('configuration error');
  expect(message).not.toContain(SECRET.slice(0, 12));
});

const load = (environment: Record<string, string>, needsCredential = true) =>
  loadConfig(environment, { needsCredential, interactive: false });

const messageOf = (environment: Record<string, string>): string => {
  try {
    load(environment);
  } catch (error) {
    if (error instanceof OrgtrailError) return `${error.message}\n${error.hint}\n${JSON.stringify(error)}`;
    throw error;
  }
  throw new Error('the configuration was accepted');
};
