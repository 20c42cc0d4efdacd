import { describe, expect, it } from 'vitest';
import { createServerClock } from '../../../../src/ingest/cloudflare/wire/server-clock.ts';

const NOON_MS = Date.UTC(2026, 9, 1, 12, 0, 0);
const NOON = 'Thu, 01 Oct 2026 12:00:00 GMT';

describe('the server clock', () => {
  it('knows nothing before the first answer', () => {
    const clock = createServerClock(() => 5);
    expect(clock.nowMs()).toBeUndefined();
    for (const garbage of [undefined, '', 'yesterday', '1759320000', '2026-10-01T12:00:00Z']) clock.observe(garbage);
    expect(clock.nowMs()).toBeUndefined();
  });

  it('goes on with monotonic time, rounded down', () => {
    let monotonicMs = 1_000.9;
    const clock = createServerClock(() => monotonicMs);
    clock.observe(NOON);
    expect(clock.nowMs()).toBe(NOON_MS);
    monotonicMs += 2_500.9;
    expect(clock.nowMs()).toBe(NOON_MS + 2_500);
    clock.observe('garbage');
    expect(clock.nowMs()).toBe(NOON_MS + 2_500);
  });

  it('believes the last answer, also when it goes back', () => {
    const clock = createServerClock(() => 0);
    clock.observe('Fri, 01 Jan 2100 00:00:00 GMT');
    clock.observe(NOON);
    expect(clock.nowMs()).toBe(NOON_MS);
  });
});
