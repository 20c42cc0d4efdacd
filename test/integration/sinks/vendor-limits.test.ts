import { describe, expect, test } from 'vitest';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { readDeadLetters } from '../../../src/sinks/sink-status.sql.ts';
import { commitAll, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';
import { attempt, attemptWith } from '../../support/sinks/http/http-sink-checks.ts';
import { startVendorReceiver, type Vendor } from '../../support/sinks/http/vendor-receivers.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

// An event of 2 MB, one of three months ago and one of two years ago among ordinary ones go where the pages of the sinks say.

const DAY_MS = 86_400_000;
const TWO_YEARS_AGO = 151;
const THREE_MONTHS_AGO = 152;

const { register, status, reaches, work, pool } = useSinkDatabase(async (pool) => {
  const nowMs = Date.now();
  const padding = { note: 'x'.repeat(3_000) };
  const ordinary = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => entryText(`entry-${from + n}`, nowMs - 60_000, padding));
  const special = [
    entryText('two years ago', nowMs - 730 * DAY_MS),
    entryText('three months ago', nowMs - 90 * DAY_MS),
    entryText('of 2 MB', nowMs - 60_000, { note: 'y'.repeat(2_000_000) }),
    '{"id":"without a time"}',
  ];
  const pages = [ordinary(0, 150), special, ordinary(150, 350)];
  await commitAll(pool, await newSource(pool, 'org'), pages);
});

/** Positions that the receiver does not get, and why. */
const expected: Readonly<
  Record<Vendor, { readonly skipped: readonly number[]; readonly starts: 'beginning' | 'now' }>
> = {
  datadog: { skipped: [TWO_YEARS_AGO, THREE_MONTHS_AGO], starts: 'now' },
  panther: { skipped: [], starts: 'beginning' },
  sumo: { skipped: [TWO_YEARS_AGO], starts: 'beginning' },
  axiom: { skipped: [], starts: 'beginning' },
  sentinel: { skipped: [TWO_YEARS_AGO, THREE_MONTHS_AGO], starts: 'now' },
};

describe.each(Object.keys(expected) as Vendor[])('%s', (vendor) => {
  test('nothing is cut, dated otherwise or refused on the way: what would be is skipped or a dead letter', async () => {
    await using receiver = await startVendorReceiver(vendor, { limits: true });
    const given = { timeout: '10m', batch_events: 1_000, ...receiver.settings };
    const settings = sinkSettings.parse(given);
    expect(settings.start).toBe(expected[vendor].starts);
    const { max_age: maxAgeMs, max_event_bytes: maxEventBytes, batch_events: batchEvents, format } = settings;
    await register(vendor, { maxAgeMs });
    const sink = createSink(settings);
    {
      await using _ = work(vendor, sink, { format, batchEvents, maxAgeMs, maxEventBytes });
      await reaches(vendor, HEAD);
    }
    await sink.close();
    const { skipped } = expected[vendor];
    expect(receiver.altered).toEqual([]);
    expect(await status(vendor)).toMatchObject({ skipped: skipped.length, deadLetters: 1, failures: 0 });
    expect(await readDeadLetters(pool(), vendor, 10)).toMatchObject([
      {
        position: OF_2_MB,
        reason: expect.stringMatching(/^not sent: it has 2\d{6} bytes, and max_event_bytes is \d+$/),
      },
    ]);
    const got = receiver.events().map(({ text }) => Number(JSON.parse(text).position));
    const left = [...skipped, OF_2_MB];
    expect(got).toEqual(Array.from({ length: HEAD }, (_, n) => n + 1).filter((position) => !left.includes(position)));
    expect(got).toContain(WITHOUT_TIME);
  });

  test('a wrong credential waits, and says what to check', async () => {
    await using receiver = await startVendorReceiver(vendor, { limits: true });
    const wrong = JSON.stringify(receiver.settings).replace(/(dd-key|shared-secret|ZaVnC4dhaV1|xaat|Qx8)/, 'wrong');
    const sink = createSink(sinkSettings.parse({ timeout: '10m', ...JSON.parse(wrong) }));
    const outcome = await attempt(sink, ordinaryEvents(1, 'native'));
    await sink.close();
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/^(HTTP 40[13]|no token of Microsoft Entra): check /),
    });
    expect(receiver.events()).toEqual([]);
  });
});

describe('axiom', () => {
  test.each([
    [
      'events that failed',
      { ingested: 2, failed: 1, failures: [{ error: 'too many fields' }] },
      'refused',
      /1 of 3 .* too many fields/,
    ],
    ['fewer events than were sent', { ingested: 2, failed: 0 }, 'failed', /does not say that 3 events came/],
    ['nothing', '', 'failed', /does not say that 3 events came/],
  ])('200 that speaks of %s is no success', async (_, said, kind, reason) => {
    await using receiver = await startVendorReceiver('axiom', { limits: true });
    const sink = createSink(sinkSettings.parse({ timeout: '10m', ...receiver.settings }));
    const body = said === '' ? '' : JSON.stringify(said);
    const outcome = await attemptWith(receiver, sink, { kind: 'answer', status: 200, body });
    await sink.close();
    expect(outcome).toMatchObject({ kind, reason: expect.stringMatching(reason) });
  });

  test('an edge deployment has its own path', () => {
    const sink = createSink(
      sinkSettings.parse({ type: 'axiom', url: 'https://eu-central-1.aws.edge.axiom.co', dataset: 'a', token: 't' }),
    );
    expect(sink.target).toBe('https://eu-central-1.aws.edge.axiom.co/v1/ingest/a');
  });
});

test('datadog: the address is that of the site', () => {
  const sink = createSink(sinkSettings.parse({ type: 'datadog', site: 'us5.datadoghq.com', api_key: 'k' }));
  expect(sink.target).toBe('https://http-intake.logs.us5.datadoghq.com/api/v2/logs');
});

const HEAD = 504;
const OF_2_MB = 153;
const WITHOUT_TIME = 154;
