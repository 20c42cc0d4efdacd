import { describe, expect, it } from 'vitest';
import { actorPrefixOf, coarseNetworkOf, isAddress } from '../../../src/search/conditions/actor.ts';

describe('an actor', () => {
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
  ])('whose address begins with %s is in %s', (start, network) => {
    expect(coarseNetworkOf(start)).toBe(network);
    if (network !== undefined) expect(isAddress(network)).toBe(true);
  });

  it('is meant by its beginning if a star ends it, and a star alone is a star', () => {
    expect([actorPrefixOf('mira*'), actorPrefixOf('mi*ra'), actorPrefixOf('*')]).toEqual([
      'mira',
      undefined,
      undefined,
    ]);
  });

  it.each(['', '1.2.3', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/8/8', '::1/129', 'x/24'])('%s is no address', (text) => {
    expect(isAddress(text)).toBe(false);
  });
});
