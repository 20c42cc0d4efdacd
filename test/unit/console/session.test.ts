import { expect, test } from 'vitest';
import { nextAddress } from '../../../src/http/console/next-address.ts';
import { createSession, isSession, SESSION_SECONDS } from '../../../src/http/console/session.ts';

const token = 'feed-token-of-the-test';
const nowMs = Date.UTC(2026, 2, 1);

test('a session is one until it ends, for whoever has the same token, and does not hold it', () => {
  const cookie = createSession(token, nowMs);
  expect(isSession(cookie, token, nowMs)).toBe(true);
  expect(isSession(cookie, token, nowMs + SESSION_SECONDS * 1_000 - 1)).toBe(true);
  expect(isSession(cookie, token, nowMs + SESSION_SECONDS * 1_000)).toBe(false);
  expect(isSession(cookie, 'another-token-of-the-test', nowMs)).toBe(false);
  expect(cookie).not.toContain(token);
});

test('whatever is changed in it, it is none', () => {
  const cookie = createSession(token, nowMs);
  for (let index = 0; index < cookie.length; index += 1) {
    const other = cookie[index] === '1' ? '2' : '1';
    const changed = cookie.slice(0, index) + other + cookie.slice(index + 1);
    expect(isSession(changed, token, nowMs), changed).toBe(false);
  }
  const later = cookie.replace(/^\d+/, (endsAt) => String(Number(endsAt) + 1));
  for (const wrong of [undefined, '', '.', later, `${cookie}x`, ` ${cookie}`, token, cookie.split('.')[1]]) {
    expect(isSession(wrong, token, nowMs), String(wrong)).toBe(false);
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
])('next=%j leads to %s', (wanted, expected) => {
  expect(nextAddress(wanted)).toBe(expected);
});
