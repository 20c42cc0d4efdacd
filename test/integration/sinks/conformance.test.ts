import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { DueCheckpoint } from '../../../src/evidence/anchors/stored-anchors.sql.ts';
import { formatNames } from '../../../src/formats/registry.ts';
import { checkpointDelivery } from '../../../src/sinks/deliver-checkpoint.ts';
import type { DeliveryOutcome, OutgoingEvent, Sink } from '../../../src/sinks/delivery.ts';
import {
  createSink,
  type SinkSettings,
  type SinkType,
  secretsOfSink,
  sinkKinds,
  sinkSettings,
  sinkTypes,
} from '../../../src/sinks/registry.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { until } from '../../support/process/until.ts';
import { deliverAll, delivery, hostileEvents, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';
import { expectArrived, isPoison, poisonPadding, type Receiver, receiverKinds } from '../../support/sinks/receivers.ts';

// What every kind of sink promises, with a receiver in this process. What one of them promises beside that is in its own file.

const never = new AbortController().signal;
const origin = 'audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.1';
const dueCheckpoint: DueCheckpoint = {
  feedId: '1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8',
  number: 1,
  signedAt: '2026-10-01T00:00:30.123456Z',
  origin,
  size: 4_711,
  note: `${origin}\n4711\n${'A'.repeat(43)}=\n\n\u2014 ${origin} AAAA\n`,
  keptSize: 0,
  keptSecondsAgo: null,
  tilesSize: 0,
};
const delivered = { kind: 'delivered', refused: [] };
/** As the configuration reads them; unless a test says otherwise, a receiver has time on a busy machine, too. */
const settingsOf = (receiver: Receiver, more: object = {}) =>
  sinkSettings.parse({ timeout: '10m', ...receiver.settings, ...more });
const attempt = (sink: Sink, events: readonly OutgoingEvent[], signal = never): Promise<DeliveryOutcome> =>
  sink.deliver(delivery(events), signal);

const hostile = Object.fromEntries(formatNames.map((format) => [format, hostileEvents(format)] as const));

/** A receiver, a sink to it, and some events in the format that such a sink has if nothing is said. */
const openKind = async (type: SinkType, more: object = {}, refusesPoison = false) => {
  const kind = receiverKinds[type];
  const stack = new AsyncDisposableStack();
  const receiver = stack.use(await kind.start({ refusesPoison }));
  const settings = settingsOf(receiver, more);
  const sink = createSink(settings);
  stack.defer(() => sink.close());
  const events = (count: number, padding = '') =>
    kind.events?.(count, padding) ?? ordinaryEvents(count, settings.format, padding);
  return { receiver, settings, sink, events, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};

describe.each(sinkTypes)('a sink of the kind %s', (type) => {
  const kind = receiverKinds[type];
  const { hang } = kind;
  const open = (more: object = {}, refusesPoison = false) => openKind(type, more, refusesPoison);
  // What a kind cannot meet is no test of it, and no test that was skipped.
  const declared = (applies: boolean): ((name: string, run: () => Promise<void>) => void) =>
    applies ? test : () => {};
  const [whenHanging, whenRefusing] = [declared(hang !== undefined), declared(kind.canRefuse)];

  test('has the name of its registry, and a page that docs/sinks.md names', () => {
    const { settings } = sinkKinds[type];
    expect(settings.shape.type.value).toBe(type);
    const folder = type.replaceAll('_', '-');
    const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
    expect(read(`src/sinks/${folder}/README.md`)).toMatch(new RegExp(`^# ${type}\n`));
    expect(read('docs/sinks.md')).toContain(`[\`${type}\`](../src/sinks/${folder}/README.md)`);
  });

  const format = sinkKinds[type].settings.shape.format;
  const taken = kind.events === undefined ? formatNames.filter((name) => format.safeParse(name).success) : [];
  test.each(taken)('hostile entries as %s arrive whole and in order', async (format) => {
    await using world = await open({ format });
    const events = hostile[format] ?? [];
    expect(await attempt(world.sink, events)).toEqual(delivered);
    expect(expectArrived(await world.receiver.received(), events)).toBe(0);
    expect(world.receiver.breaches()).toEqual([]);
  });

  // It comes to a webhook in a body of another type; it is refused in the settings of objects, and of what is sent to people.
  declared(type !== 'webhook' && type !== 's3' && kind.events === undefined)(
    'the record of a checkpoint arrives as it is, among the events',
    async () => {
      await using world = await open();
      const [before, after] = [world.events(1), world.events(2).slice(1)];
      const record = checkpointDelivery(dueCheckpoint);
      expect(await attempt(world.sink, before)).toEqual(delivered);
      expect(await world.sink.deliver(record, never)).toEqual(delivered);
      expect(await attempt(world.sink, after)).toEqual(delivered);
      const arrived = await world.receiver.received();
      expect(arrived.map(({ text }) => text)).toEqual([...before, ...record.events, ...after].map(({ text }) => text));
      expect(JSON.parse(arrived[1]?.text ?? '').orgtrail_checkpoint.note).toBe(dueCheckpoint.note);
      expect(world.receiver.breaches()).toEqual([]);
    },
  );

  test('its receiver is away: a failure that says why; back again, it gets everything', async () => {
    await using world = await open();
    const events = world.events(6);
    expect(await attempt(world.sink, events.slice(0, 3))).toEqual(delivered);
    await world.receiver.stop();
    // The first may only notice that a connection has ended.
    const first = await attempt(world.sink, events.slice(3));
    const second = await attempt(world.sink, events.slice(3));
    expect(first).toMatchObject({ kind: 'failed', reason: expect.stringMatching(/./) });
    expect(second).toMatchObject({ kind: 'failed', reason: expect.stringMatching(kind.awayReason) });
    expectNoSecret(world.settings, [world.sink.target, reasonOf(first), reasonOf(second)]);
    await world.receiver.restart();
    expect(await attempt(world.sink, events.slice(3))).toEqual(delivered);
    expect(expectArrived(await world.receiver.received(), events)).toBe(0);
  });

  whenHanging('its receiver hangs: told to end, it ends at once, and closes', async () => {
    await using world = await open();
    const hanging = hang?.(world.receiver);
    const asked = new AbortController();
    const result = attempt(world.sink, world.events(3), asked.signal);
    await until('the delivery has come', async () => hanging?.isReached() === true);
    asked.abort(new Error('shutting down'));
    await expect(result).rejects.toThrow('shutting down');
    await world.sink.close();
  });

  test('told to end before, it sends nothing', async () => {
    await using world = await open();
    await expect(attempt(world.sink, world.events(3), AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
      'stopped',
    );
    expect(await attempt(world.sink, world.events(1))).toEqual(delivered);
    expect(await world.receiver.received()).toHaveLength(1);
  });

  test('closes, whatever it has done, and more than once', async () => {
    await using world = await open();
    const unused = createSink(world.settings);
    await unused.close();
    await attempt(world.sink, world.events(3));
    await world.receiver.stop();
    await world.sink.close();
    await world.sink.close();
  });

  whenRefusing('what is refused is a dead letter, and all others arrive', async () => {
    await using world = await open({}, true);
    const bad = new Set([0, 7, 8, 24, 39]);
    const [ordinary, poisoned] = [world.events(40), world.events(40, poisonPadding)];
    const events = ordinary.map((event, index) => (bad.has(index) ? (poisoned[index] ?? event) : event));
    const { deadLetters, failures } = await deliverAll(() => world.sink, events, 16);
    expect(failures).toEqual([]);
    expect(deadLetters.map(({ event }) => event)).toEqual(events.filter(({ text }) => isPoison(text)));
    expect(deadLetters.every(({ reason }) => reason !== '')).toBe(true);
    const others = events.filter(({ text }) => !isPoison(text));
    const repeats = expectArrived(await world.receiver.received(), others);
    if (kind.repeats === 'none') expect(repeats).toBe(0);
  });

  const seed = 20_264;
  test(`300 events through faults and restarts of both ends (seed ${seed}): none missing, in order, repeats the same`, async () => {
    await using world = await open();
    const { receiver, settings } = world;
    const random = seededRandom(seed);
    let sink = world.sink;
    let isAway = false;
    const sinkFor = async ({ length }: readonly OutgoingEvent[]): Promise<Sink> => {
      if (isAway) await receiver.restart();
      isAway = false;
      if (random() < 0.5) await receiver.disturb(random, length);
      if (random() < 0.2) {
        await receiver.stop();
        isAway = random() < 0.5;
        if (!isAway) await receiver.restart();
      }
      if (random() < 0.2) {
        await sink.close();
        sink = createSink(settings);
      }
      return sink;
    };
    const events = world.events(300);
    const { deadLetters, failures } = await deliverAll(sinkFor, events, 12);
    await sink.close();
    expect(deadLetters).toEqual([]);
    const repeats = expectArrived(await receiver.received(), events);
    expect(receiver.breaches()).toEqual([]);
    if (kind.repeats === 'none') expect(repeats).toBe(0);
    else expect(repeats).toBeGreaterThan(0);
    expect(failures.length).toBeGreaterThan(2);
    expectNoSecret(settings, [sink.target, ...failures]);
  });
});

// Of all kinds at once: each waits for its time-out.
test('its receiver hangs: a failure in time, and the next attempt delivers', async () => {
  const kinds = sinkTypes.flatMap((type) => {
    const { hang, hangReason } = receiverKinds[type];
    return hang === undefined ? [] : [{ type, hang, hangReason }];
  });
  expect(kinds.length).toBeGreaterThan(9);
  await Promise.all(
    kinds.map(async ({ type, hang, hangReason }) => {
      await using world = await openKind(type, { timeout: '2s' });
      const events = world.events(3);
      const hanging = hang(world.receiver);
      const outcome = await attempt(world.sink, events);
      expect(outcome, type).toMatchObject({ kind: 'failed', reason: expect.stringMatching(hangReason) });
      hanging.end();
      const patient = createSink(settingsOf(world.receiver));
      expect(await attempt(patient, events), type).toEqual(delivered);
      await patient.close();
      expectArrived(await world.receiver.received(), events);
    }),
  );
});

const reasonOf = (outcome: DeliveryOutcome): string => (outcome.kind === 'delivered' ? '' : outcome.reason);

const expectNoSecret = (settings: SinkSettings, said: readonly string[]) => {
  for (const secret of secretsOfSink(settings)) expect(said.filter((text) => text.includes(secret))).toEqual([]);
};
