import { expect, test } from 'vitest';
import { nextAddress } from '../../../../src/http/console/sign-in/next-address.ts';
import { createSessionId, sessionKey, sessionKeys } from '../../../../src/http/console/sign-in/session.ts';

test('a session has two possible keys, and neither holds it or the token; with another token the second is another', () => {
  const id = createSessionId();
  expect(id).not.toBe(createSessionId());
  const keys = sessionKeys(id, token);
  expect(keys).toEqual([sessionKey(id, undefined), sessionKey(id, token)]);
  expect(sessionKeys(id, undefined)).toEqual([sessionKey(id, undefined)]);
  expect(sessionKeys(id, 'another-token-of-the-test')[1]).not.toEqual(keys[1]);
  for (const key of keys) {
    expect(key.length).toBe(32);
    expect(key.toString('base64url')).not.toBe(id);
  }
});

test('what is no cookie of a session has no key', () => {
  const id = createSessionId();
  for (const wrong of [undefined, '', '.', `${id}x`, id.slice(1), ` ${id}`, `${id.slice(1)}=`, `9999999999.${id}`]) {
    expect(sessionKeys(wrong, token), String(wrong)).toEqual([]);
  }
});

test.each([
  ['/', '/'],
  ['/?state=failing', '/?state=failing'],
  ['/organizations/a%20b?x=1', '/organizations/a%20b?x=1'],
  ['/events#x', '/events'],
  ['//evil.example', '/'],
  ['/\\evil.example', '/'],
  ['/.//evil.example', '/'],
  ['/x/..//evil.example', '/'],
  ['/\t/evil.example', '/'],
  ['https://evil.example', '/'],
  ['javascript:alert(1)', '/'],
  ['evil', '/'],
  ['', '/'],
  ['/console/sign-in', '/'],
  [undefined, '/'],
  [['/a', '/b'], '/'],
])('next=%j leads to %s', (wanted, expected) => expect(nextAddress(wanted)).toBe(expected));

const token = 'feed-token-of-the-test';
