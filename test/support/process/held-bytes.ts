import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import type { Sink } from '../../../src/sinks/delivery.ts';
import { outgoingEvents } from '../sinks/syslog-events.ts';

/** Delivers 60 MB to a receiver that stands still, and returns how much more was held in buffers meanwhile. */
export const mostHeldBytes = async (sink: Sink): Promise<number> => {
  const events = outgoingEvents(60, { textLength: 1_000_000 });
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const looking = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }, 10);
  const outcome = await sink.deliver({ id: 'one', events }, new AbortController().signal);
  clearInterval(looking);
  expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('has not read everything') });
  return most;
};

/** What this process holds once all garbage is gone. */
export const heldBytes = (): number => {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
