import { afterEach, describe, expect, test } from 'vitest';
import type { DeliveryOutcome } from '../../../src/sinks/delivery.ts';
import { neverRefused } from '../../../src/sinks/delivery-store.sql.ts';
import {
  type Alarm,
  noteAlarms,
  readAlarmChanges,
  readAlarmCursor,
  registerAlarmSinks,
} from '../../../src/sinks/findings/alarms.sql.ts';
import { alarmsOf, type CauseFacts, causesOf } from '../../../src/status/causes.ts';
import { commitAll, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const { pool, register: registerSink, status: statusOf, work } = useSinkDatabase(async () => {});

describe('alarms', () => {
  afterEach(() => pool().query('truncate alarms, alarm_changes restart identity'));

  test('are opened once while they last, resolved once, and opened again', async () => {
    await note([hole]);
    await note([hole, late]);
    await note([{ ...hole, summary: 'two holes' }]);
    await note([]);
    await note([]);
    await note([hole]);
    expect(await changes()).toEqual([
      'open coverage_hole a hole',
      'open not_fresh late',
      'resolved not_fresh late',
      'resolved coverage_hole two holes',
      'open coverage_hole a hole',
    ]);
    const opened = (await readAlarmChanges(pool(), { after: 0, maxEvents: 9 })).map(
      ({ finding }) => finding.alarm?.opened,
    );
    expect([opened[0] === opened[3], opened[0] === opened[4]]).toEqual([true, false]);
  });

  test('that do not last are none', async () => {
    await note([hole], 60_000);
    await note([hole], 60_000);
    expect(await changes()).toEqual([]);
    await pool().query("update alarms set seen_since = seen_since - interval '1 minute'");
    await note([hole], 60_000);
    await note([late], 60_000);
    expect(await changes()).toEqual(['open coverage_hole a hole', 'resolved coverage_hole a hole']);
  });
});

describe('a sink of alarms', () => {
  const status = () => statusOf('oncall');
  const register = async (start: 'beginning' | 'now') => {
    await registerSink('oncall', { kind: 'pagerduty', start });
    await registerAlarmSinks(pool(), [{ name: 'oncall', start }]);
  };
  const received = (sink: ReturnType<typeof createTestSink>) =>
    sink.deliveries.flatMap(({ events }) =>
      events.map(({ finding }) => `${finding?.alarm?.state} ${finding?.detection}`),
    );

  test('gets each change once, through stops, keeps what is refused, and holds up nothing that waits for sinks', async () => {
    await note([hole]);
    await register('now');
    await note([late, unanchored]);
    const answers: DeliveryOutcome[] = [{ kind: 'refused', reason: 'no such key' }];
    const sink = createTestSink(() => answers.shift() ?? { kind: 'delivered', refused: [] });
    const start = () => work('oncall', neverRefused(sink), { stream: 'alarms', minSeverity: 'high' });
    {
      await using _ = start();
      await until('both are sent', async () => (await status()).delivered === 2);
      const entries = [entryText('a', T0), entryText('b', T0)];
      await commitAll(pool(), await newSource(pool(), 'org'), [entries]);
      await until('it goes along with the feed', async () => (await status()).lagEvents === 0);
    }
    // The first attempt was refused as a whole.
    expect(received(sink).slice(2)).toEqual(['resolved coverage_hole', 'open not_fresh']);
    expect(await status()).toMatchObject({ position: 2, deadLetters: 0, failures: 0 });
    await note([]);
    const before = sink.deliveries.length;
    {
      await using _ = start();
      await until('it goes on', async () => (await status()).delivered === 3);
    }
    expect(received({ ...sink, deliveries: sink.deliveries.slice(before) })).toEqual(['resolved not_fresh']);
    const { rows } = await pool().query('select max(number)::integer as last from alarm_changes');
    expect(await readAlarmCursor(pool(), 'oncall')).toBe(rows[0].last);
    await register('now');
    expect(await readAlarmCursor(pool(), 'oncall')).toBe(rows[0].last);
  });
});

test('what is wrong is named, as health has it', async () => {
  await using world = await openWorld({ organizations: 2, entries: 5 });
  await using run = await world.open();
  await run.sync();
  const facts = async () => ({
    status: await run.app.statusReader.read(run.config),
    sinks: [],
    evidence: undefined,
    tickMs: run.config.tickMs,
    apiBudget: run.config.apiBudget,
    nowMs: Date.now(),
  });
  const named = (known: CauseFacts) => alarmsOf(causesOf(known));
  expect(named(await facts())).toEqual([]);
  const { status } = await facts();
  const [first, ...others] = status.sources;
  if (first === undefined) throw new Error('no sources');
  const failingLanes = [{ lane: 'live', failures: 1, lastFailure: 'refused', lastError: 'no right' }];
  const refused = { ...status, sources: [{ ...first, state: 'refused' as const, failingLanes }, ...others] };
  const sink = { name: 'siem', position: 8, failures: 3, lastError: 'HTTP 500', lagSeconds: 0, lagEvents: 9 };
  const evidence = { state: 'halted', stateReason: 'a hole', signedSecondsAgo: null, anchors: [] };
  const seen = named({ ...(await facts()), status: refused, sinks: [sink as never], evidence: evidence as never });
  expect(seen).toEqual([
    {
      alarm: 'sink_failing siem',
      severity: 'high',
      summary: 'the sink siem is stuck after position 8, 3 failures in a row, 9 events wait: HTTP 500',
    },
    { alarm: 'evidence_halted', severity: 'critical', summary: 'evidence is no longer signed (halted): a hole' },
    {
      alarm: 'access_lost',
      severity: 'critical',
      summary: `${first.organizationName} (${first.id}): live fails: no right`,
    },
  ]);
});

const hole: Alarm = { alarm: 'coverage_hole', severity: 'critical', summary: 'a hole' };
const late: Alarm = { alarm: 'not_fresh', severity: 'high', summary: 'late' };
const unanchored: Alarm = { alarm: 'evidence_unanchored', severity: 'medium', summary: 'no anchor' };

const note = (alarms: readonly Alarm[], afterMs = 0) => noteAlarms(pool(), alarms, afterMs);

const changes = async () =>
  (await readAlarmChanges(pool(), { after: 0, maxEvents: 100 })).map(
    ({ finding }) => `${finding.alarm?.state} ${finding.detection} ${finding.summary}`,
  );
