import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { startScheduler, tickIntervalMs } from '../../../../src/ingest/sync/daemon.ts';

let scheduler: ReturnType<typeof startScheduler>;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 9, 1, 12, 0, 0, 250) });
});

afterEach(() => {
  vi.useRealTimers();
});

it('startScheduler ticks at once, and by its pattern', async () => {
  const { ticks, last } = started();
  expect(ticks).toHaveLength(1);
  for (let n = 1; n <= 3; n += 1) {
    await last().end();
    expect(ticks).toHaveLength(n);
    await seconds(1);
    expect(ticks).toHaveLength(n + 1);
  }
  await Promise.all([last().end(), scheduler.stop()]);
});

it('startScheduler never has two ticks at once: one that comes due meanwhile is left out', async () => {
  const { ticks, last } = started();
  await seconds(5);
  expect(ticks).toHaveLength(1);
  await last().end();
  expect(ticks).toHaveLength(1);
  await seconds(1);
  expect(ticks).toHaveLength(2);
  await Promise.all([last().end(), scheduler.stop()]);
});

it('startScheduler waits for the tick under way when it is stopped, and begins no other', async () => {
  const { ticks, last } = started();
  let stopped = false;
  const stop = scheduler.stop().then(() => {
    stopped = true;
  });
  await seconds(3);
  expect(stopped).toBe(false);
  await last().end();
  await stop;
  await seconds(10);
  expect([ticks.length, vi.getTimerCount()]).toEqual([1, 0]);
});

it('startScheduler stops at once where no tick is under way, and may be stopped twice', async () => {
  const { ticks, last } = started();
  await last().end();
  await scheduler.stop();
  await scheduler.stop();
  await seconds(10);
  expect(ticks).toHaveLength(1);
});

it('startScheduler hands on what made a tick fail, and goes on ticking', async () => {
  const { ticks, errors, last } = started();
  const away = new Error('the database is away');
  await last().fail(away);
  expect(errors).toEqual([away]);
  await seconds(1);
  expect(ticks).toHaveLength(2);
  await Promise.all([last().end(), scheduler.stop()]);
});

it('startScheduler stops also where the tick under way fails', async () => {
  const { errors, last } = started();
  const stop = scheduler.stop();
  await last().fail('late');
  await stop;
  expect(errors).toEqual(['late']);
});

it('startScheduler keeps to its pattern', async () => {
  const { ticks, last } = started('*/30 * * * * *');
  await last().end();
  await seconds(29);
  expect(ticks).toHaveLength(1);
  await seconds(1);
  expect(ticks).toHaveLength(2);
  await Promise.all([last().end(), scheduler.stop()]);
});

it.each([
  ['* * * * * *', 1_000],
  ['*/30 * * * * *', 30_000],
  ['0 */5 * * * *', 300_000],
  ['*/5 * * * *', 300_000],
  ['0 0 3 * * *', 86_400_000],
  ['@hourly', 3_600_000],
])('tickIntervalMs %s is %i', (schedule, expected) => expect(tickIntervalMs(schedule)).toBe(expected));

it.each(['', 'every minute', '61 * * * * *', '* * *', '0 0 0 30 2 *', '2099-01-01T00:00:00', '30s'])(
  'tickIntervalMs %j is no pattern that ticks',
  (schedule) => expect(tickIntervalMs(schedule)).toBeUndefined(),
);

it('tickIntervalMs leaves no timer behind', () => {
  tickIntervalMs('* * * * * *');
  expect(vi.getTimerCount()).toBe(0);
});

/** A tick that the test ends when it likes. */
interface OpenTick {
  readonly end: () => Promise<void>;
  readonly fail: (error: unknown) => Promise<void>;
}

/** The scheduler with ticks in the test's hands; time moves only when the test moves it. */
const started = (schedule = '* * * * * *') => {
  const ticks: OpenTick[] = [];
  const errors: unknown[] = [];
  const tick = (): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const ended = async (end: () => void) => {
      end();
      await vi.advanceTimersByTimeAsync(0);
    };
    ticks.push({ end: () => ended(resolve), fail: (error) => ended(() => reject(error)) });
    return promise;
  };
  scheduler = startScheduler(schedule, tick, (error) => errors.push(error));
  return { ticks, errors, last: () => ticks.at(-1) as OpenTick };
};

const seconds = (count: number): Promise<unknown> => vi.advanceTimersByTimeAsync(count * 1_000);
