import { describe, expect, test } from 'vitest';
import type { OutgoingEvent } from '../../../src/sinks/delivery.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { foundEvents, outgoingFinding } from '../../support/sinks/found-events.ts';
import { attempt } from '../../support/sinks/http/http-sink-checks.ts';
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

// Receivers that hold the limits which Slack, Teams and PagerDuty document.

const delivered = { kind: 'delivered', refused: [] };

const open = async (kind: Messenger, more: object = {}, oneIn = 0) => {
  const receiver = await startMessenger(kind, { oneIn });
  const sink = createSink(
    sinkSettings.parse({
      timeout: '10m',
      ...messengerSettings(kind, receiver.url),
      console_url: 'https://o.example/',
      ...more,
    }),
  );
  return {
    receiver,
    sink,
    [Symbol.asyncDispose]: async () => {
      await sink.close();
      await receiver[Symbol.asyncDispose]();
    },
  };
};
