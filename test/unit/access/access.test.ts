import { describe, expect, test } from 'vitest';
import { type AccessNote, MAX_REPEATED, parseScopes, REPEAT_MS, RepeatedAccess } from '../../../src/access/access.ts';
import { addressGroup, FAILURES_PER_MINUTE, FailureThrottle } from '../../../src/http/failure-throttle.ts';

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

describe('repeated access', () => {
  test('the first is noted at once, what repeats it is one note an hour later, and the sums are what happened', () => {
    const repeated = new RepeatedAccess();
    expect(repeated.add(note(), 0)).toEqual(note());
    for (let count = 1; count <= 99; count += 1) expect(repeated.add(note({ events: count }), count)).toBeUndefined();
    expect(repeated.take(REPEAT_MS - 1)).toEqual([]);
    expect(repeated.take(REPEAT_MS)).toEqual([note({ requests: 99, events: 4_950 })]);
    expect(repeated.take(REPEAT_MS * 3)).toEqual([]);
    expect(repeated.add(note(), REPEAT_MS * 3), 'a new hour').toEqual(note());
  });

  test('what differs in anything but the counts is another one', () => {
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
    for (const each of all) expect(repeated.add(each, 0)).toEqual(each);
    expect(repeated.take(REPEAT_MS), 'nothing was repeated').toEqual([]);
  });

  test('very many at a time are told apart no more, but still counted', () => {
    const repeated = new RepeatedAccess();
    const noted: AccessNote[] = [];
    const total = MAX_REPEATED * 3;
    for (let index = 0; index < total; index += 1) {
      const first = repeated.add(note({ address: `192.0.2.${index}`, what: { text: String(index) } }), 0);
      if (first !== undefined) noted.push(first);
    }
    expect(noted.length).toBe(MAX_REPEATED + 1);
    expect(noted.at(-1)).toMatchObject({ address: undefined, what: {} });
    const all = [...noted, ...repeated.take(REPEAT_MS)];
    expect(all.reduce((sum, { requests }) => sum + requests, 0)).toBe(total);
    expect(all.reduce((sum, { events }) => sum + (events ?? 0), 0)).toBe(total * 5);
  });
});

describe('failures of an address', () => {
  test('ten a minute are let through, then it has to wait for the rest of the minute; others need not', () => {
    let nowMs = 0;
    const throttle = new FailureThrottle(() => nowMs);
    for (let count = 0; count < FAILURES_PER_MINUTE; count += 1) expect(throttle.failed('192.0.2.1')).toBeUndefined();
    expect(throttle.failed('192.0.2.1')).toBe(60);
    nowMs = 59_500;
    expect(throttle.failed('::ffff:192.0.2.1')).toBe(1);
    expect(throttle.failed('192.0.2.2')).toBeUndefined();
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
  ])('%s is one of %s', (address, group) => expect(addressGroup(address)).toBe(group));
});

test.each([
  ['feed', ['feed']],
  ['search, feed', ['feed', 'search']],
  ['feed,feed metrics', ['feed', 'metrics']],
  ['', undefined],
  ['feeds', undefined],
  ['feed,all', undefined],
])('the scopes %j are %j', (text, expected) => expect(parseScopes(text)).toEqual(expected));
