import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Time } from '../../../src/base/time.ts';

/** Time that passes when told to. */
export const manualTime = () => {
  let nowMs = 1_000;
  const sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];
  const time: Time = {
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        sleepers.push({ atMs: nowMs + ms, wake: resolve });
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
  const settle = async (): Promise<void> => {
    await nextTurn();
    const due = sleepers.findIndex(({ atMs }) => atMs <= nowMs);
    if (due < 0) return;
    sleepers.splice(due, 1)[0]?.wake();
    await settle();
  };
  /** In steps, as a process that runs; in one, as one that was paused. */
  const pass = async (ms: number, steps = ms): Promise<void> => {
    for (let step = 0; step < steps; step += 1) {
      nowMs += ms / steps;
      await settle();
    }
  };
  return { time, pass };
};
