import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { attempt } from '../../support/sinks/http/http-sink-checks.ts';
import { deliverAll, ordinaryEvents, outgoing } from '../../support/sinks/outgoing-events.ts';
import { type KafkaReceiver, startKafkaReceiver } from '../../support/sinks/receivers/kafka.ts';
import { startSaslBroker } from '../../support/sinks/sasl-broker.ts';
import { storedEvents } from '../../unit/formats/simulated-events.ts';

let cluster: KafkaReceiver;
beforeEach(async () => {
  cluster = await startKafkaReceiver(4);
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});
const openSink = (settings: object) => {
  const sink = createSink(sinkSettings.parse({ timeout: '10m', ...settings }));
  return { ...sink, [Symbol.asyncDispose]: () => sink.close() };
};
const open = (more: object = {}) => openSink({ ...cluster.settings, ...more });

const sources = Array.from({ length: 12 }, (_, n) => `019c4f65e7607d8c9f6f6b58aa3aff${50 + n}`);
/** Of twelve organizations by turns. */
const events = Array.from({ length: 240 }, (_, n) => {
  const text = JSON.stringify({ id: `entry-${n}`, action: { time: '2026-09-30T00:00:00Z' } });
  return storedEvents([text], sources[n % sources.length] ?? '', n + 1)[0];
}).flatMap((event) => (event === undefined ? [] : [outgoing(event)]));

test('events of one source are in one partition, in order, also through faults', async () => {
  await using sink = open();
  let turn = 0;
  const { failures, deadLetters } = await deliverAll(
    async () => {
      turn += 1;
      // NOT_LEADER_OR_FOLLOWER, TOPIC_AUTHORIZATION_FAILED, and a cut connection.
      const code = [6, 29, -195][turn % 3];
      if (turn % 2 === 0 && code !== undefined) await cluster.fail(code);
      return sink;
    },
    events,
    20,
  );
  expect([failures.length > 0, deadLetters]).toEqual([true, []]);
  const messages = await cluster.messages();
  for (const [n, source] of sources.entries()) {
    const own = messages.filter(({ key }) => key === `organization/${source}`);
    expect(new Set(own.map(({ partition }) => partition)).size).toBe(1);
    const positions = [...new Set(own.map(({ headers }) => Number(headers['position'])))];
    expect(positions).toEqual(Array.from({ length: 20 }, (_, turn) => n + 1 + turn * sources.length));
  }
  expect(new Set(messages.map(({ partition }) => partition)).size).toBe(4);
});

test('a message is the event to the byte, with its key and place in headers, dated as of now', async () => {
  const before = Date.now();
  await using sink = open({ gzip: false });
  await attempt(sink, events.slice(0, 1));
  const [message] = await cluster.messages();
  expect(message).toMatchObject({
    text: events[0]?.text,
    headers: {
      key: events[0]?.key,
      position: '1',
      feed_id: events[0]?.event.feedId,
      'content-type': 'application/x-ndjson',
    },
  });
  expect(message?.timeMs).toBeGreaterThanOrEqual(before);
});

test.each([
  ['refused', [10], /^MESSAGE_TOO_LARGE: /],
  ['refused', [18], /^RECORD_LIST_TOO_LARGE: /],
  ['failed', [29], /^TOPIC_AUTHORIZATION_FAILED: check that the user may write to topic$/],
  ['failed', [31], /^CLUSTER_AUTHORIZATION_FAILED: check that the user may write idempotently$/],
  // Each retry meets it again.
  ['failed', [19, 19, 19, 19, 19, 19], /^NOT_ENOUGH_REPLICAS: /],
  ['failed', [-195, -195, -195, -195, -195, -195], /./],
])(
  'it is %s after the errors %j; a failure of one event alone is no fault of the event',
  async (kind, codes, reason) => {
    await using sink = open();
    const failure = { kind, reason: expect.stringMatching(reason) };
    await cluster.fail(...codes);
    expect(await attempt(sink, ordinaryEvents(2, 'native'))).toMatchObject(failure);
    if (kind === 'refused') return;
    await cluster.fail(...codes);
    // Others may be of partitions whose leaders are there.
    expect(await attempt(sink, ordinaryEvents(1, 'native'))).toMatchObject({ ...failure, because: 'receiver' });
  },
);

test('what the cluster has none of is named', async () => {
  await using sink = open({ topic: 'none.of-this_name' });
  const outcome = await attempt(sink, ordinaryEvents(1, 'native'));
  expect(outcome).toMatchObject({
    kind: 'failed',
    reason: expect.stringMatching(/^check topic: the cluster has none of this name: /),
  });
});

test('it signs in over TLS, and a refusal shows no password', async () => {
  const password = 'pass-word/of the+user';
  await using broker = await startSaslBroker();
  const settings = {
    type: 'kafka',
    topic: 'audit',
    brokers: [`localhost:${broker.port}`],
    username: 'orgtrail',
    password,
  };
  await using trusted = openSink({ ...settings, ca_file: broker.caFile });
  expect(await attempt(trusted, ordinaryEvents(1, 'native'))).toEqual({
    kind: 'failed',
    reason: 'SASL_AUTHENTICATION_FAILED: check username, password and mechanism',
    because: 'receiver',
  });
  // A connection that ends while it signs in tells of more than one error: the process lives on.
  broker.resetThem();
  for (let n = 0; n < 3; n += 1)
    expect(await attempt(trusted, ordinaryEvents(1, 'native'))).toMatchObject({ kind: 'failed' });
  expect(broker.credentials.some((each) => each.includes(`\0orgtrail\0${password}`))).toBe(true);
  await using stranger = openSink(settings);
  expect(await attempt(stranger, ordinaryEvents(1, 'native'))).toMatchObject({
    kind: 'failed',
    reason: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY|certificate/),
  });
});
