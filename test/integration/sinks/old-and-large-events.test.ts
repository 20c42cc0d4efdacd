import { describe, expect, test } from 'vitest';
import type { Sink } from '../../../src/sinks/delivery.ts';
import { claimSink, finishDelivery, skipOldEvents } from '../../../src/sinks/delivery-store.sql.ts';
import { replaySink } from '../../../src/sinks/replay.sql.ts';
import { readDeadLetters } from '../../../src/sinks/sink-status.sql.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { commitAll, entryText, LEASE_MS, newSource } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';

// Settings of sinks by which a receiver neither gives events another time nor cuts them: max_age, max_event_bytes, max_interval.

const DAY_MS = 86_400_000;
/** Old ones among the others, 40 of them in a row, and the last two. */
const OLD = [2, 3, 5, ...Array.from({ length: 40 }, (_, n) => 11 + n), 59, 60];
/** No time, so no age. */
const WITHOUT_TIME = 8;
const HEAD = 60;
const YOUNG = Array.from({ length: HEAD }, (_, n) => n + 1).filter((position) => !OLD.includes(position));

const { pool, register, status, reaches, work } = useSinkDatabase(async (pool) => {
  const nowMs = Date.now();
  const entries = Array.from({ length: HEAD }, (_, n) => {
    if (n + 1 === WITHOUT_TIME) return '{"id":"without a time"}';
    return entryText(`entry-${n}`, OLD.includes(n + 1) ? nowMs - 90 * DAY_MS : nowMs - 60_000);
  });
  await commitAll(pool, await newSource(pool, 'org'), [entries]);
});

describe('max_age', () => {
  test('older events are skipped, counted and told; those without a time are delivered', async () => {
    await register('young', { maxAgeMs });
    const sink = createTestSink();
    let told = 0;
    const skipped = ({ events }: { readonly events: number }) => {
      told += events;
    };
    await using _ = work('young', sink, { maxAgeMs, observer: { skipped }, batchEvents: 5 });
    await reaches('young', HEAD);
    expect(sink.received()).toEqual(YOUNG);
    expect(sink.received()).toContain(WITHOUT_TIME);
    const seen = { skipped: OLD.length, delivered: YOUNG.length, maxAgeSeconds: 64_800, lagEvents: 0, failures: 0 };
    expect(await status('young')).toMatchObject(seen);
    expect(told).toBe(OLD.length);
  });

  test('nothing but old events: the position moves on, nothing is sent', async () => {
    await register('all-old', { maxAgeMs });
    await pool().query("update sinks set position = 58 where name = 'all-old'");
    const sink = createTestSink();
    await using _ = work('all-old', sink, { maxAgeMs });
    await reaches('all-old', HEAD);
    expect(sink.received()).toEqual([]);
    expect((await status('all-old')).skipped).toBe(2);
  });

  test('a replay skips them again; with a higher max_age it sends them', async () => {
    await register('again', { maxAgeMs });
    const sink = createTestSink();
    {
      await using _ = work('again', sink, { maxAgeMs });
      await reaches('again', HEAD);
      await replaySink({ pool: pool() }, 'again', 0);
      await until('they come again', async () => sink.received().length === 2 * YOUNG.length);
      await reaches('again', HEAD);
      expect((await status('again')).skipped).toBe(2 * OLD.length);
    }
    await register('again', { maxAgeMs: 100 * DAY_MS });
    await replaySink({ pool: pool() }, 'again', 0);
    await using _ = work('again', sink, { maxAgeMs: 100 * DAY_MS });
    await until('all of them come', async () => sink.received().length === 2 * YOUNG.length + HEAD);
    await reaches('again', HEAD);
    expect(await status('again')).toMatchObject({ skipped: 2 * OLD.length, maxAgeSeconds: 8_640_000 });
  });

  test('a dead letter that is too old by now goes with the skipped ones, so that retention waits for none', async () => {
    await register('letters');
    const letters = async () => (await readDeadLetters(pool(), 'letters', 10)).map(({ position }) => position);
    const sink = refusing(20, 55);
    {
      await using _ = work('letters', sink);
      await reaches('letters', HEAD);
    }
    expect(await letters()).toEqual([20, 55]);
    await replaySink({ pool: pool() }, 'letters', 10);
    await register('letters', { maxAgeMs });
    await using _ = work('letters', sink, { maxAgeMs, batchEvents: 3 });
    await reaches('letters', HEAD);
    expect(await letters()).toEqual([55]);
  });

  test('the count moves with the position or not at all', async () => {
    await register('fenced', { maxAgeMs });
    const turn = await claimSink(pool(), 'fenced', 'host/1/me', LEASE_MS);
    if (!('epoch' in turn)) throw new Error('not available');
    const whole = { until: 10, accepted: 7, deadLetters: [], refusedInRow: 0, skipped: 3 };
    expect(await finishDelivery(pool(), turn, whole, LEASE_MS)).toBe(true);
    expect(await skipOldEvents(pool(), turn, { until: 50, skipped: 40 }, LEASE_MS)).toBe(true);
    expect(await status('fenced')).toMatchObject({ position: 50, skipped: 43, delivered: 7 });
    await replaySink({ pool: pool() }, 'fenced', 0);
    expect(await finishDelivery(pool(), turn, whole, LEASE_MS)).toBe(false);
    expect(await skipOldEvents(pool(), turn, { until: 50, skipped: 40 }, LEASE_MS)).toBe(false);
    expect(await status('fenced')).toMatchObject({ position: 0, skipped: 43, delivered: 7 });
    const later = await claimSink(pool(), 'fenced', 'host/1/me', LEASE_MS);
    if (!('epoch' in later)) throw new Error('not available');
    const tooMany = skipOldEvents(pool(), later, { until: 50, skipped: 51 }, LEASE_MS);
    await expect(tooMany).rejects.toThrow('cannot skip 51 events between 0 and 50');
  });
});

describe('max_event_bytes', () => {
  test('larger ones become dead letters that say so; the others arrive in order, and none of the larger is sent', async () => {
    await register('small');
    const sink = createTestSink();
    const eventBytes: Sink['eventBytes'] = ({ event }) => (event.position % 7 === 0 ? 2_000_000 : 100);
    await using _ = work('small', { ...sink, eventBytes }, { maxEventBytes: 1_000_000, batchEvents: 10 });
    await reaches('small', HEAD);
    const large = Array.from({ length: 8 }, (_, n) => 7 * (n + 1));
    expect(sink.deliveries.flatMap(({ events }) => events.map(({ event }) => event.position))).toEqual(
      Array.from({ length: HEAD }, (_, n) => n + 1).filter((position) => !large.includes(position)),
    );
    const reason = 'not sent: it has 2000000 bytes, and max_event_bytes is 1000000';
    expect(await readDeadLetters(pool(), 'small', 100)).toMatchObject(large.map((position) => ({ position, reason })));
  });

  test('refusals of the receiver beside them are of the events that it means', async () => {
    await register('both');
    const eventBytes: Sink['eventBytes'] = ({ event }) => (event.position < 8 ? 11 : 10);
    await using _ = work('both', { ...refusing(9), eventBytes }, { maxEventBytes: 10 });
    await reaches('both', HEAD);
    const letters = await readDeadLetters(pool(), 'both', 100);
    expect(letters.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6, 7, 9]);
    expect(letters.at(-1)?.reason).toBe('no 9');
  });

  test('if every event is too large, the setting is wrong: the sink fails after ten of them, and loses no more', async () => {
    await register('none-fits');
    const sink = createTestSink();
    await using _ = work('none-fits', sink, { maxEventBytes: 1 });
    await until('it fails', async () => (await status('none-fits')).failures > 0);
    expect(await status('none-fits')).toMatchObject({ position: 10, deadLetters: 10 });
    expect((await status('none-fits')).lastError).toMatch(/10 events in a row were refused.* max_event_bytes is 1$/);
    expect(sink.deliveries).toEqual([]);
  });
});

describe('max_interval', () => {
  test('a delivery that is not full waits for more, as long as it says, and a full one goes at once', async () => {
    await register('patient');
    const sink = createTestSink();
    const ofPatient = () =>
      firstValue<string>(pool(), "select lease_until::text as ends from sinks where name = 'patient'");
    await using _ = work('patient', sink, { batchEvents: 25, maxIntervalMs: 3_600_000, speed: 500 });
    await reaches('patient', 50);
    for (let looks = 0; looks < 3; looks += 1) {
      const before = await ofPatient();
      await until('it looks again', async () => (await ofPatient()) !== before);
    }
    expect(
      sink.deliveries.map(({ events }) => events.length),
      'ten wait',
    ).toEqual([25, 25]);
    await pool().query(
      "update audit_events set received_at = clock_timestamp() - interval '2 hours' where position = 51",
    );
    await reaches('patient', HEAD);
    expect(sink.deliveries.map(({ events }) => events.length)).toEqual([25, 25, 10]);
  });
});

const MAX_AGE_MS = 18 * 3_600_000;
const maxAgeMs = MAX_AGE_MS;

/** Refuses these alone. */
const refusing = (...positions: readonly number[]) =>
  createTestSink(({ events }) => ({
    kind: 'delivered',
    refused: events.flatMap(({ event }, index) =>
      positions.includes(event.position) ? [{ index, reason: `no ${event.position}` }] : [],
    ),
  }));
