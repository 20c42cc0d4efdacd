import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startsInBothCases, textsOfNetwork } from '../../../src/search/query/address-starts.ts';
import { coarseNetworkOf, isAddress, prefixOf } from '../../../src/search/query/terms.ts';
import { forAll } from '../for-all.ts';

describe('the texts of a network', () => {
  it.each([
    ['198.51.100.0/24', ['198.51.100.'], []],
    ['198.51.100.77/24', ['198.51.100.'], []],
    ['198.18.0.0/15', ['198.18.', '198.19.'], []],
    ['10.0.0.0/8', ['10.'], []],
    // Listed one by one they would be too many.
    ['100.64.0.0/10', ['100.'], []],
    ['198.51.100.128/25', ['198.51.100.'], []],
    ['198.51.100.6/31', [], ['198.51.100.6', '198.51.100.7']],
    ['198.51.100.7', [], ['198.51.100.7']],
    [
      '2001:db8::/32',
      ['2001:db8:', '2001:dB8:', '2001:Db8:', '2001:DB8:', '2001:0db8:', '2001:0dB8:', '2001:0Db8:', '2001:0DB8:'],
      [],
    ],
    ['2001::/32', ['2001::', '2001:0:', '2001:00:', '2001:000:', '2001:0000:'], []],
    ['fe80::/10', ['fe', 'fE', 'Fe', 'FE'], []],
    ['2000::/4', ['2'], []],
    ['::ffff:192.0.2.1', ['::', '0:', '00:', '000:', '0000:'], []],
  ])('%s', (network, starts, exact) => {
    const texts = textsOfNetwork(network);
    expect([...(texts?.starts ?? [])].sort()).toEqual([...starts].sort());
    expect(texts?.exact).toEqual(exact);
  });

  it.each(['0.0.0.0/0', '128.0.0.0/3', '::/0', '2000::/3', '64::/12'])('%s have no beginning in common', (network) =>
    expect(textsOfNetwork(network)).toBeUndefined(),
  );

  const group = fc.oneof(fc.constant(0), fc.nat(0xffff), fc.nat(0xff));
  const address = fc.array(group, { minLength: 8, maxLength: 8 });
  /** With leading zeros and without, in both cases, some zeros left out: by random numbers. */
  const spell = (groups: readonly number[], dice: readonly number[]): string => {
    const texts = groups.map((value, n) => {
      const text = value.toString(16).padStart(1 + ((dice[n] ?? 0) % 4), '0');
      return [...text].map((digit, m) => (((dice[8 + n] ?? 0) >> m) & 1 ? digit.toUpperCase() : digit)).join('');
    });
    const from = (dice[16] ?? 0) % 8;
    let to = from;
    while (to < 8 && groups[to] === 0 && to - from < 1 + ((dice[17] ?? 0) % 8)) to += 1;
    return to === from ? texts.join(':') : `${texts.slice(0, from).join(':')}::${texts.slice(to).join(':')}`;
  };

  it('leave out no spelling of any address in it, and are few', () =>
    forAll(
      [address, fc.array(fc.nat(255), { minLength: 18, maxLength: 18 }), fc.integer({ min: 0, max: 128 })],
      { numRuns: 1_000 },
      (groups, dice, bits) => {
        const texts = textsOfNetwork(`${groups.map((value) => value.toString(16)).join(':')}/${bits}`);
        if (texts === undefined) return;
        expect(texts.starts.length).toBeLessThanOrEqual(16);
        const spelt = spell(groups, dice);
        expect(
          texts.starts.some((start) => spelt.startsWith(start)),
          spelt,
        ).toBe(true);
      },
    ));

  it('of IPv4 leave out no address in it, and are few', () => {
    const octets = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
    forAll([octets, fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 })], {}, (first, random, bits) => {
      const number = first.reduce((sum, octet) => sum * 256 + octet, 0);
      const span = 2 ** (32 - bits);
      const inside = Math.floor(number / span) * span + (random % span);
      const text = [24, 16, 8, 0].map((shift) => Math.floor(inside / 2 ** shift) % 256).join('.');
      const texts = textsOfNetwork(`${first.join('.')}/${bits}`);
      if (texts === undefined) return;
      expect(texts.starts.length + texts.exact.length).toBeLessThanOrEqual(16);
      expect(texts.exact.includes(text) || texts.starts.some((start) => text.startsWith(start)), text).toBe(true);
    });
  });
});

it.each([
  ['198.51.', ['198.51.']],
  ['2001:dB', ['2001:db', '2001:dB', '2001:Db', '2001:DB']],
  ['unknown', []],
  ['192.0.2.x', ['192.0.2.']],
])('a beginning, whatever the case of its letters %s', (start, starts) =>
  expect(startsInBothCases(start)).toEqual(starts),
);

it('a beginning, whatever the case of its letters has no more than sixteen', () => {
  expect(startsInBothCases('a1b2:c3d4:e5f6')).toHaveLength(16);
  expect(startsInBothCases('a1b2:c3d4:e5f6')).toContain('A1B2:C3D4:');
});

it.each([
  ['198.51.100.', '198.51.100.0/24'],
  ['198.51.10', '198.51.0.0/16'],
  ['198.', '198.0.0.0/8'],
  ['198', undefined],
  ['198.51.100.7.', undefined],
  ['999.', undefined],
  ['2001:db8:', '2001:db8::/32'],
  ['2001:d', '2001::/16'],
  ['2001:db8::', undefined],
  ['mira', undefined],
])('an actor whose address begins with %s is in %s', (start, network) => {
  expect(coarseNetworkOf(start)).toBe(network);
  if (network !== undefined) expect(isAddress(network)).toBe(true);
});

it('an actor is meant by its beginning if a star ends it, and a star alone is a star', () =>
  expect([prefixOf('mira*'), prefixOf('*mira*'), prefixOf('*')]).toEqual(['mira', undefined, undefined]));

it.each(['', '1.2.3', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/8/8', '::1/129', 'x/24'])(
  'an actor %s is no address',
  (text) => expect(isAddress(text)).toBe(false),
);
