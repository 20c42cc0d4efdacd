import { expect, test } from 'vitest';
import { StallGuard } from '../../../../src/ingest/sync/discovery/stall-guard.ts';

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

test('aborts what makes no progress, and says so', async () => {
  const guard = new StallGuard(new AbortController().signal, 1);
  await aborted(guard.signal);
  expect(guard.reasonOf(guard.signal.reason)).toMatchObject({
    failure: 'timeout',
    message: 'the listing brought no page within 0.001 s',
  });
  const other = new Error('the database does not answer');
  expect(guard.reasonOf(other), 'what failed at the same time').toBe(other);
});

test('aborts with the signal that was given, for its reason', () => {
  const stop = new AbortController();
  const guard = new StallGuard(stop.signal, 3_600_000);
  guard.progress();
  expect(guard.signal.aborted).toBe(false);
  const reason = new Error('stopping');
  stop.abort(reason);
  expect(guard.reasonOf(guard.signal.reason)).toBe(reason);
  guard.end();
});
