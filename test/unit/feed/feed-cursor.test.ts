import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printFeedCursor, readFeedCursor } from '../../../src/feed/feed-cursor.ts';

const word = fc.stringMatching(/^[\w-]{1,64}$/);
const places = fc.record({
  position: fc.maxSafeNat(),
  feedId: word,
  check: fc.option(word, { nil: undefined }),
  dropped: fc.maxSafeNat(),
});

test('any place is read as it was written, and fits into an address', () => {
  fc.assert(
    fc.property(places, (place) => {
      const cursor = printFeedCursor(place);
      expect(cursor).toMatch(/^[\w-]{1,400}$/);
      expect(readFeedCursor(cursor)).toEqual(place);
    }),
  );
});

test('what was cut off, continued or written by another program is none', () => {
  fc.assert(
    fc.property(places, fc.nat(), (place, at) => {
      const cursor = printFeedCursor(place);
      expect(readFeedCursor(cursor.slice(0, at % cursor.length))).toBeUndefined();
      expect(readFeedCursor(`${cursor}=`)).toBeUndefined();
    }),
  );
  for (const text of ['2 1 a b 0 .', '1 -1 a b 0 .', '1 01 a b 0 .', '1 1  b 0 .', '1 1 a b .', '1 1 a b 0 . .']) {
    expect(readFeedCursor(btoa(text).replaceAll('=', '')), text).toBeUndefined();
  }
});
