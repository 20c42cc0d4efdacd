import { expect, test } from 'vitest';
import { notCollectedSentence } from '../../../src/status/collection-words.ts';

test.each([
  [0, 0, 'Not collected: 0s.'],
  [45.2, 45.2, 'Not collected: 45s, the newest.'],
  [72, 45, 'Not collected: 1m 12s, 45s of it the newest.'],
  [3_600, 0.5, 'Not collected: 1h, of earlier time.'],
])('%d s, %d s of them the delay: %s', (gapSeconds, lagSeconds, words) => {
  expect(notCollectedSentence({ gapSeconds, lagSeconds })).toBe(words);
});
