import { expect, test } from 'vitest';
import { addressGroup, FAILURES_PER_MINUTE, FailureThrottle } from '../../../src/http/guard.ts';
import {
  type AccessNote,
  MAX_READERS,
  MAX_STRANGERS,
  parseScopes,
  REPEAT_MS,
  RepeatedAccess,
} from '../../../src/postgres/access/access.ts';

test('repeated access the first is noted at once, what repeats it is one note an hour later, and the sums are what happened', () => {
  const repeated = new RepeatedAccess();
  expect(repeated.add(note(), 0)).toEqual([note()]);
  for (let count = 1; count <= 99; count += 1) expect(repeated.add(note({ events: count }), count)).toEqual([]);
  expect(repeated.take(REPEAT_MS - 1)).toEqual([]);
  expect(repeated.take(REPEAT_MS)).toEqual([note({ requests: 99, events: 4_950 })]);
  expect(repeated.take(REPEAT_MS * 3)).toEqual([]);
  expect(repeated.add(note(), REPEAT_MS * 3), 'a new hour').toEqual([note()]);
});

test('repeated access what differs in anything but the counts is another one', () => {
  const repeated = new RepeatedAccess();
  const all = [
    note(),
    note({ who: 'other' }),
    note({ address: '192.0.2.2' }),
    note({ outcome: 'cut off' }),
    note({ status: 503 }),
    note({ what: { organization: 'o1' } }),
    note({ kind: 'export' }),
  ];
  for (const each of all) expect(repeated.add(each, 0)).toEqual([each]);
  expect(repeated.take(REPEAT_MS), 'nothing was repeated').toEqual([]);
});

test('repeated access however many strangers and searches there are, each reader is noted in full, and nothing is counted twice', () => {
  const limits: string[] = [];
  const repeated = new RepeatedAccess((limit) => limits.push(limit));
  const noted: AccessNote[] = [];
  const ask = (asked: AccessNote) => noted.push(...repeated.add(asked, 0));
  const strangers = MAX_STRANGERS * 5;
  const searches = MAX_READERS * 3;
  for (let index = 0; index < strangers; index += 1) {
    ask(
      note({ kind: 'refusal', outcome: 'refused', who: undefined, address: `host ${index}`, status: 401, events: 0 }),
    );
  }
  expect(noted).toHaveLength(MAX_STRANGERS + 1);
  expect(noted.at(-1)).toMatchObject({ address: undefined });
  for (let index = 0; index < searches; index += 1) {
    for (let times = 0; times < 2; times += 1) ask(note({ kind: 'search', what: { text: String(index) } }));
  }
  const named = new Set(noted.map(({ what }) => what['text']).filter((text) => text !== undefined));
  expect(named.size).toBe(searches);
  const sizes = repeated.take(REPEAT_MS);
  expect(sizes.length).toBeLessThanOrEqual(MAX_READERS + MAX_STRANGERS + 1);
  const all = [...noted, ...sizes];
  expect(all.reduce((sum, { requests }) => sum + requests, 0)).toBe(strangers + 2 * searches);
  expect(all.reduce((sum, { events }) => sum + (events ?? 0), 0)).toBe(2 * searches * 5);
  expect(limits.filter((limit) => limit === 'strangers')).toHaveLength(strangers - MAX_STRANGERS);
  expect(limits.filter((limit) => limit === 'readers')).toHaveLength(searches - MAX_READERS);
});

test('failures of an address ten a minute are let through, then it has to wait for the rest of the minute; others need not', () => {
  let nowMs = 0;
  const throttle = new FailureThrottle(() => nowMs);
  for (let count = 0; count < FAILURES_PER_MINUTE; count += 1) expect(throttle.failed('192.0.2.1')).toBeUndefined();
  expect(throttle.failed('192.0.2.1')).toBe(60);
  nowMs = 59_500;
  expect([throttle.failed('::ffff:192.0.2.1'), throttle.failed('192.0.2.2')]).toEqual([1, undefined]);
  nowMs = 60_000;
  expect(throttle.failed('192.0.2.1')).toBeUndefined();
});

test.each([
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['192.0.2.1', '192.0.2.1'],
  ['', ''],
])('failures of an address %s is one of %s', (address, group) => expect(addressGroup(address)).toBe(group));

test.each([
  ['feed', ['feed']],
  ['search, feed', ['feed', 'search']],
  ['feed,feed metrics', ['feed', 'metrics']],
  ['', undefined],
  ['feeds', undefined],
  ['feed,all', undefined],
])('the scopes %j are %j', (text, expected) => expect(parseScopes(text)).toEqual(expected));

const note = (more: Partial<AccessNote> = {}): AccessNote => ({
  kind: 'feed',
  outcome: 'ok',
  who: 'siem',
  address: '192.0.2.1',
  route: 'GET /v1/events',
  status: 200,
  what: {},
  events: 5,
  requests: 1,
  ...more,
});
