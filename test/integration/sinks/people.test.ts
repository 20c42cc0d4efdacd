import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { createSinkCheckpoints } from '../../../src/evidence/anchors/stored-anchors.sql.ts';
import { keyOfLog } from '../../../src/evidence/notes/checkpoint.ts';
import { parseNote, verifyNote } from '../../../src/evidence/notes/signed-note.ts';
import { isUnanchored, readEvidenceStatus } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { checkpointDelivery } from '../../../src/sinks/deliver-checkpoint.ts';
import type { Delivery, OutgoingEvent } from '../../../src/sinks/delivery.ts';
import type { Finding } from '../../../src/sinks/findings/finding.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, type TestSink, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';
import { foundEvents, outgoingFinding } from '../../support/sinks/found-events.ts';
import { startWebhookReceiver } from '../../support/sinks/http/http-receivers.ts';
import { attempt } from '../../support/sinks/http/http-sink-checks.ts';
import { credentials, httpSinks } from '../../support/sinks/http/http-sinks.ts';
import { type Messenger, messengerSettings, startMessenger } from '../../support/sinks/http/people-receivers.ts';

const hostile = [
  '<!channel> <@U123> <https://evil.example|Reset your password> & &lt;',
  '[click](https://evil.example) **bold** `code` <at>channel</at>',
  '&'.repeat(5_000),
  '😀'.repeat(3_000),
  '\u202e\u0000\n\r\u2028',
  '',
] as const;

const hostileFindings: OutgoingEvent[] = hostile.map((text, n) =>
  outgoingFinding(
    n + 1,
    { summary: text, actor: text, actorIpAddress: text, severity: text, detection: `d_${n}${text}` },
    { accountName: text, id: `entry-${n}` },
  ),
);

const signer = newSigner();

const { pool, register, status, work } = useSinkDatabase(async (pool) => {
  await commit(pool, await newSource(pool, 'a'), [entryText('one', T0), entryText('two', T0 + 1)]);
});

describe.each(['slack', 'teams', 'pagerduty'] as const)('%s', (kind) => {
  test('texts of an attacker, of any length, stay within the limits and mean nothing', async () => {
    await using world = await open(kind);
    for (const finding of hostileFindings) expect(await attempt(world.sink, [finding])).toEqual(delivered);
    expect(world.receiver.breaches).toEqual([]);
    expect(world.receiver.keys()).toEqual(hostileFindings.map(({ key }) => key));
    expect(world.receiver.bodies.every((body) => body.includes('https://o.example/events/'))).toBe(true);
  });

  test('pauses between messages as long as the receiver requires', async () => {
    await using world = await open(kind, { pause: '400ms' }, 300);
    for (const finding of foundEvents(3)) expect(await attempt(world.sink, [finding])).toEqual(delivered);
    expect(world.receiver.bodies).toHaveLength(3);
  });

  test('a 429 waits as long as it says', async () => {
    await using world = await open(kind, {}, 60_000);
    const [first, second] = foundEvents(2);
    if (first === undefined || second === undefined) throw new Error('no findings');
    expect(await attempt(world.sink, [first])).toEqual(delivered);
    expect(await attempt(world.sink, [second])).toMatchObject({ kind: 'failed', retryAfterMs: 1_000 });
  });
});

test.each(['slack', 'teams'] as const)('%s: the first line of a digest says what it is of', async (kind) => {
  await using world = await open(kind);
  const link = '/events?q=action%3Adelete';
  const digests: readonly (readonly [Partial<Finding>, string])[] = [
    [{}, 'orgtrail: 2 findings, high at most'],
    [{ alarm: { state: 'resolved', opened: 1 } }, 'orgtrail: 2 alarms, high at most'],
    [{ search: { name: 'mine', link } }, 'orgtrail: 2 messages about saved searches'],
  ];
  for (const [more, said] of digests) {
    expect(await attempt(world.sink, [outgoingFinding(1, more), outgoingFinding(2, more)])).toEqual(delivered);
    expect(world.receiver.bodies.at(-1)).toContain(said);
  }
});

test('slack: a digest of 24 findings is one message, with each of them; one of 25 is not sent', async () => {
  await using world = await open('slack');
  const findings = foundEvents(25);
  expect(await attempt(world.sink, findings.slice(0, 24))).toEqual(delivered);
  expect(world.receiver.keys()).toEqual(findings.slice(0, 24).map(({ key }) => key));
  expect(world.receiver.bodies).toHaveLength(1);
  expect(await attempt(world.sink, findings)).toMatchObject({ kind: 'refused' });
});

test('teams: a message of more than 28,000 bytes goes out in halves', async () => {
  await using world = await open('teams');
  const large = Array.from({ length: 20 }, (_, n) => outgoingFinding(n + 1, { summary: 'x'.repeat(2_000) }));
  const outcome = await attempt(world.sink, large);
  expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringMatching(/^not sent: it takes \d+ bytes/) });
  expect(await attempt(world.sink, large.slice(0, 10))).toEqual(delivered);
});

test('pagerduty: severities, and the same dedup_key at every attempt', async () => {
  await using world = await open('pagerduty');
  const findings = ['critical', 'high', 'medium', 'low'].map((severity, n) => outgoingFinding(n + 1, { severity }));
  expect(await attempt(world.sink, findings)).toEqual(delivered);
  expect(await attempt(world.sink, findings)).toEqual(delivered);
  const said = world.receiver.bodies.map((body) => JSON.parse(body).payload.severity);
  expect(said.slice(0, 4)).toEqual(['critical', 'error', 'warning', 'info']);
  expect(world.receiver.keys().slice(4)).toEqual(world.receiver.keys().slice(0, 4));
});

test('orgtrail sink test sends one message, and says why it was not taken', async () => {
  await using receiver = await startMessenger('slack');
  const chat = messengerSettings('slack', receiver.url);
  const siem = { type: 'file', path: '/nowhere/x' };
  const run = (name: string, sinks: object) =>
    runInProcess(['sink', 'test', name], { ORGTRAIL_SINKS: JSON.stringify(sinks) });
  const sent = await run('chat', { chat });
  expect(sent).toMatchObject({ code: 0, stdout: `chat: ${receiver.url} has taken the test message\n` });
  expect(receiver.bodies).toHaveLength(1);
  expect(receiver.bodies[0]).toContain('This is a test of orgtrail');
  receiver.faults.push({ kind: 'answer', status: 403, body: 'action_prohibited' });
  const refused = await run('chat', { chat });
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('check webhook_url: action_prohibited') });
  expect(refused.stderr).not.toContain('XXXXXXXX');
  expect((await run('siem', { siem })).code).toBe(2);
  expect((await run('other', { chat })).code).toBe(2);
});

test.each([
  ['entries to people', { type: 'slack', webhook_url: 'https://x.example', events: 'entries' }],
  ['a severity no detection has', { type: 'slack', webhook_url: 'https://x.example', min_severity: 'urgent' }],
  ['an address with a password', { type: 'teams', webhook_url: 'https://a:b@x.example' }],
  ['more in a message than fits', { type: 'teams', webhook_url: 'https://x.example', batch_events: 21 }],
  ['no key', { type: 'pagerduty' }],
  ['a pause of an hour', { type: 'pagerduty', routing_key: 'k', pause: '1h' }],
])('%s is refused', (_, settings) => {
  expect(sinkSettings.safeParse(settings).success).toBe(false);
});

test('a sink gets a record of the newest checkpoints, with notes that verify, once for each that is new', async () => {
  await register('siem');
  expect(await checkpoints().due('siem')).toBeUndefined();
  await build();
  const sink = createTestSink();
  await using _ = work('siem', sink, { hasCheckpoints: true, checkpoints: checkpoints() });
  await until('events and a record', async () => sink.deliveries.length === 2 && (await anchor('siem'))?.size === 4);
  const records = recordsOf(sink);
  expect(records).toHaveLength(1);
  const [record] = records.map(recordOf);
  const { rows } = await pool().query('select note from evidence_checkpoints order by size desc limit 1');
  const { note } = rows[0];
  expect(record).toMatchObject({ number: 1, size: 4, note, root: note.split('\n')[2] });
  // A SIEM is a place outside the database: it counts as an anchor, as long as the settings have it.
  const evidence = await readEvidenceStatus(pool());
  expect(evidence && isUnanchored(evidence)).toBe(false);
  expect(await checkpoints().due('siem')).toBeUndefined();
});

test('a receiver that refuses it still gets its events; the reason is kept until it takes one', async () => {
  await register('picky');
  let refuses = true;
  const sink = createTestSink(({ checkpoint }) =>
    checkpoint !== undefined && refuses
      ? { kind: 'refused', reason: 'no s3cret here' }
      : { kind: 'delivered', refused: [] },
  );
  const told: string[] = [];
  const observer = { checkpointFailed: ({ reason }: { reason: string }) => void told.push(reason) };
  const start = () => work('picky', sink, { hasCheckpoints: true, checkpoints: checkpoints(), observer });
  {
    await using _ = start();
    await until('the events are there', async () => (await status('picky')).position === 2);
    await until('the reason is there', async () => (await anchor('picky'))?.error === 'no [redacted] here');
  }
  expect(told).toEqual(['no [redacted] here']);
  expect(await status('picky')).toMatchObject({ failures: 0, deadLetters: 0 });
  refuses = false;
  await using _ = start();
  await until('it is taken', async () => (await anchor('picky'))?.size === 4);
  expect(await anchor('picky')).toMatchObject({ error: null });
});

test('a sink that does not ask for it gets none', async () => {
  await register('silent');
  const sink = createTestSink();
  await using _ = work('silent', sink, { checkpoints: checkpoints() });
  await until('the events are there', async () => (await status('silent')).position === 2);
  expect(recordsOf(sink)).toEqual([]);
});

test('a webhook gets it as a type of its own, signed, with a header as answers of the feed have', async () => {
  await register('hook');
  const due = await checkpoints().due('hook');
  if (due === undefined) throw new Error('nothing is due');
  await using receiver = await startWebhookReceiver();
  const sink = httpSinks.webhook(receiver);
  const outcome = await sink.deliver(checkpointDelivery(due), new AbortController().signal);
  await sink.close();
  expect(outcome).toEqual({ kind: 'delivered', refused: [] });
  const [request] = receiver.requests;
  const headers = request?.headers as Record<string, string>;
  const { type, data } = new Webhook(credentials.webhookSecret).verify(request?.body ?? '', headers) as {
    type: string;
    data: { orgtrail_checkpoint: { size: number; root: string; note: string } };
  };
  const { orgtrail_checkpoint: log } = data;
  expect(type).toBe('orgtrail.checkpoint');
  expect(headers['orgtrail-evidence']).toBe(`${log.size} ${log.root}`);
  const key = keyOfLog(due.origin, signer.publicKey);
  expect(verifyNote(parseNote(Buffer.from(log.note)), [key]).signers).toHaveLength(1);
  expect(receiver.received()).toEqual([]);
});

test('one that is new is due, but not before its time', async () => {
  await commit(pool(), await takeLease(pool(), 'a'), [entryText('three', T0 + 5)]);
  await build();
  expect((await checkpoints().due('siem'))?.size).toBe(5);
  expect(await createSinkCheckpoints(pool(), 600_000).due('siem')).toBeUndefined();
});

// Receivers that hold the limits which Slack, Teams and PagerDuty document.

const delivered = { kind: 'delivered', refused: [] };

const open = async (kind: Messenger, more: object = {}, oneIn = 0) => {
  const stack = new AsyncDisposableStack();
  const receiver = stack.use(await startMessenger(kind, { oneIn }));
  const settings = { timeout: '10m', ...messengerSettings(kind, receiver.url), console_url: 'https://o.example/' };
  const sink = stack.adopt(createSink(sinkSettings.parse({ ...settings, ...more })), (one) => one.close());
  return { receiver, sink, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};

const build = () => openBuilder(pool(), signer).build();

/** Without a rest between two records. */
const checkpoints = () => createSinkCheckpoints(pool(), 0);

const anchor = async (name: string) =>
  (await readEvidenceStatus(pool()))?.anchors.find((one) => one.anchor === `sink:${name}`);

const recordOf = ({ events }: Delivery) => JSON.parse(events[0]?.text ?? '').orgtrail_checkpoint;
const recordsOf = ({ deliveries }: TestSink) => deliveries.filter(({ checkpoint }) => checkpoint !== undefined);
