import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CycleReport } from '../../src/sync/cycle.ts';
import { type Scheduler, startScheduler, tickIntervalMs } from '../../src/sync/scheduler.ts';

const report: CycleReport = { sources: 0, failed: [], discoveryError: undefined, held: 0, finished: true };

/** A cycle that the test ends when it likes. */
interface OpenCycle {
  readonly interrupted: () => boolean;
  readonly end: () => Promise<void>;
  readonly fail: (error: unknown) => Promise<void>;
}

/** The scheduler with cycles in the test's hands; time moves only when the test moves it. */
const started = (schedule = '* * * * * *') => {
  const cycles: OpenCycle[] = [];
  const errors: unknown[] = [];
  let underWay = 0;
  let mostAtOnce = 0;
  const runCycle = (interrupted: () => boolean): Promise<CycleReport> => {
    const { promise, resolve, reject } = Promise.withResolvers<CycleReport>();
    underWay += 1;
    mostAtOnce = Math.max(mostAtOnce, underWay);
    const ended = async (end: () => void) => {
      underWay -= 1;
      end();
      await vi.advanceTimersByTimeAsync(0);
    };
    cycles.push({ interrupted, end: () => ended(() => resolve(report)), fail: (error) => ended(() => reject(error)) });
    return promise;
  };
  scheduler = startScheduler(schedule, runCycle, (error) => errors.push(error));
  return { scheduler, cycles, errors, mostAtOnce: () => mostAtOnce, last: () => cycles.at(-1) as OpenCycle };
};

let scheduler: Scheduler;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 9, 1, 12, 0, 0, 250) });
});

afterEach(() => {
  vi.useRealTimers();
});

const seconds = (count: number): Promise<unknown> => vi.advanceTimersByTimeAsync(count * 1_000);

describe('startScheduler', () => {
  it('begins a cycle at once, and another at each tick', async () => {
    const { cycles, last } = started();
    expect(cycles).toHaveLength(1);
    for (let n = 1; n <= 3; n += 1) {
      await last().end();
      expect(cycles).toHaveLength(n);
      await seconds(1);
      expect(cycles).toHaveLength(n + 1);
    }
    await Promise.all([last().end(), scheduler.stop()]);
  });

  it('never runs two at once; ticks during a cycle interrupt it, and together make one more', async () => {
    const { cycles, last, mostAtOnce } = started();
    expect(last().interrupted()).toBe(false);
    await seconds(1);
    expect(last().interrupted()).toBe(true);
    await seconds(5);
    expect(cycles).toHaveLength(1);
    await last().end();
    expect(cycles).toHaveLength(2);
    expect(last().interrupted()).toBe(false);
    await last().end();
    expect(cycles).toHaveLength(2);
    await seconds(1);
    expect(cycles).toHaveLength(3);
    expect(mostAtOnce()).toBe(1);
    await Promise.all([last().end(), scheduler.stop()]);
  });

  it('waits for the cycle under way when it is stopped, which it interrupts, and begins no other', async () => {
    const { cycles, last } = started();
    await seconds(2);
    let stopped = false;
    const stop = scheduler.stop().then(() => {
      stopped = true;
    });
    await seconds(3);
    expect(stopped).toBe(false);
    expect(last().interrupted()).toBe(true);
    await last().end();
    await stop;
    await seconds(10);
    expect(cycles).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stops at once where no cycle is under way, and may be stopped twice', async () => {
    const { cycles, last } = started();
    await last().end();
    await scheduler.stop();
    await scheduler.stop();
    await seconds(10);
    expect(cycles).toHaveLength(1);
  });

  it('hands on what made a cycle fail, and goes on ticking', async () => {
    const { cycles, errors, last } = started();
    const away = new Error('the database is away');
    await last().fail(away);
    expect(errors).toEqual([away]);
    await seconds(1);
    expect(cycles).toHaveLength(2);
    // A tick came while this one ran: the next begins although it fails.
    await seconds(1);
    await last().fail('again');
    expect(cycles).toHaveLength(3);
    expect(errors).toEqual([away, 'again']);
    await Promise.all([last().end(), scheduler.stop()]);
  });

  it('stops also where the cycle under way fails', async () => {
    const { errors, last } = started();
    const stop = scheduler.stop();
    await last().fail('late');
    await stop;
    expect(errors).toEqual(['late']);
  });

  it('keeps to its pattern', async () => {
    const { cycles, last } = started('*/30 * * * * *');
    await last().end();
    await seconds(29);
    expect(cycles).toHaveLength(1);
    await seconds(1);
    expect(cycles).toHaveLength(2);
    await Promise.all([last().end(), scheduler.stop()]);
  });
});

describe('tickIntervalMs', () => {
  it.each([
    ['* * * * * *', 1_000],
    ['*/30 * * * * *', 30_000],
    ['0 */5 * * * *', 300_000],
    ['*/5 * * * *', 300_000],
    ['0 0 3 * * *', 86_400_000],
    ['@hourly', 3_600_000],
  ])('%s is %i', (schedule, expected) => {
    expect(tickIntervalMs(schedule)).toBe(expected);
  });

  it.each(['', 'every minute', '61 * * * * *', '* * *', '0 0 0 30 2 *', '2099-01-01T00:00:00', '30s'])(
    '%j is no pattern that ticks',
    (schedule) => {
      expect(tickIntervalMs(schedule)).toBeUndefined();
    },
  );

  it('leaves no timer behind', () => {
    tickIntervalMs('* * * * * *');
    expect(vi.getTimerCount()).toBe(0);
  });
});
