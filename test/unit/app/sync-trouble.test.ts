import { expect, test } from 'vitest';
import { createSyncTrouble } from '../../../src/app/start-daemon.ts';

test('the trouble that readiness shows is the latest reason, for two ticks', () => {
  let nowMs = 0;
  const trouble = createSyncTrouble(1_000, () => nowMs);
  expect(trouble.current()).toBe(undefined);
  trouble.failed('the first');
  trouble.failed('the second');
  nowMs = 2_000;
  expect(trouble.current()).toBe('the second');
  nowMs = 2_001;
  expect(trouble.current()).toBe(undefined);
});
