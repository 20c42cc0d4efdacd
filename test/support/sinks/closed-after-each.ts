import { afterEach } from 'vitest';
import type { Sink } from '../../../src/sinks/delivery.ts';

/** Closes after each test, the latest first, what it was given. */
export const closedAfterEach = () => {
  let opened = new AsyncDisposableStack();
  afterEach(async () => {
    await opened.disposeAsync();
    opened = new AsyncDisposableStack();
  });
  return {
    open: <T extends AsyncDisposable>(one: T): T => opened.use(one),
    openSink: (sink: Sink): Sink => opened.adopt(sink, (one) => one.close()),
  };
};
