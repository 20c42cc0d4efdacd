import { execFile as execFileWithCallback } from 'node:child_process';
import { userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { FormatName } from '../../../src/formats/registry.ts';
import type { OutgoingEvent } from '../../../src/sinks/delivery.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { outgoing } from '../../support/sinks/outgoing-events.ts';
import { outgoingEvents } from '../../support/sinks/syslog-events.ts';
import { useSyslogReceivers } from '../../support/sinks/syslog-receivers.ts';
import { syslogSink } from '../../support/sinks/syslog-sink.ts';
import { sampleEvents } from '../../unit/formats/sample-events.ts';

const { missing, files, kinds } = await useSyslogReceivers();
const execFile = promisify(execFileWithCallback);

const run = (command: string, ...args: string[]) => execFile(command, args);

/** Network namespaces, a pair of virtual interfaces and a shaped queue: not in every container. */
const canShape = async (): Promise<boolean> => {
  if (userInfo().uid !== 0) return false;
  const trial =
    'ip link add near type veth peer name far && tc qdisc add dev near root tbf rate 8mbit burst 10kb latency 1s';
  return await run('unshare', '--net', 'bash', '-c', trial).then(
    () => true,
    () => false,
  );
};

const possible = await canShape();

if (!possible) console.warn('skipped, needs root, unshare, ip and tc: a slow link');

describe.skipIf(missing !== undefined).each(Object.entries(kinds))('%s', (_, kind) => {
  const receiver = forAllTests(() => kind.start());

  const arrive = async (events: readonly OutgoingEvent[], format: FormatName) => {
    const before = (await receiver.received()).length;
    const sink = syslogSink({
      url: `${kind.url}//localhost:${receiver.port}`,
      ...(kind.confirm !== undefined && { confirm: kind.confirm }),
      ...(kind.url === 'tls:' && { ca_file: files.ca.cert, cert_file: files.client.cert, key_file: files.client.key }),
      format,
      hostname: 'collector-1',
      app_name: 'trail',
      facility: 13,
    });
    const outcome = await sink.deliver({ id: 'one', events }, new AbortController().signal);
    expect(outcome, receiver.said()).toEqual({ kind: 'delivered', refused: [] });
    return (await receiver.received()).slice(before);
  };

  test.each(['native', 'leef'] as const)(
    'has the fields of every message and its text to the byte: %s',
    async (format) => {
      const events = hostileEvents(format);
      const received = await arrive(events, format);
      expect(received.map(({ text }) => text)).toEqual(events.map(({ text }) => text));
      expect(received.map(({ key, position }) => ({ key, position }))).toEqual(
        events.map(({ key, event }) => ({ key, position: event.position })),
      );
      for (const { hostname, appName, processId, messageId, priority, timestamp } of received) {
        expect({ hostname, appName, messageId }).toEqual({
          hostname: 'collector-1',
          appName: 'trail',
          messageId: format,
        });
        expect(['', '-']).toContain(processId);
        expect([108, 109, 110]).toContain(priority);
        expect(Number.isNaN(Date.parse(timestamp))).toBe(false);
      }
      expect(received[0]?.parameters).toEqual({
        position: '1',
        feed: events[0]?.event.feedId,
        key: events[0]?.key,
        organization: hostileNames[0],
      });
      expect(Date.parse(received[0]?.timestamp ?? '')).toBe(Date.parse('2026-11-05T10:00:00Z'));
    },
  );

  test('has messages of 64 kB and of 1 MB whole, between small ones', async () => {
    const lengths = [200, 65_536, 300, 1_048_000, 200];
    const events = lengths.flatMap((textLength, n) => outgoingEvents(1, { firstPosition: n + 1, textLength }));
    const received = await arrive(events, 'native');
    expect(received.map(({ text }) => text.length)).toEqual(events.map(({ text }) => text.length));
    expect(received.map(({ text }) => text)).toEqual(events.map(({ text }) => text));
  });
});

test.skipIf(!possible)('a receiver that closes while the rest is still under way has nothing for certain', async () => {
  const scripts = [file('slow-link-receiver.ts'), file('slow-link-sink.ts')];
  const { stdout } = await run('unshare', '--net', 'bash', file('slow-link.sh'), process.execPath, ...scripts);
  expect(stdout.trim().split('\n')).toEqual(['failed', 'failed', 'failed', 'failed']);
});

const hostileNames = [
  'Quotes " and "] brackets [x] and \\ backslashes \\" \\] \\\\',
  'x\r\n<13>1 2026-01-01T00:00:00Z forged orgtrail - native - {"forged":true}',
  'tab\there, NUL-like \u2400, escape \u001b[2J, bell \u0007',
  '58 <13>1 2026-01-01T00:00:00Z forged',
  '%msg% $MSG $(id) `id` %n%s',
  'Björn 株式会社 😀 \u202eright to left',
];

/** The entries that the formats are tested with, and organizations whose names attack the line. */
const hostileEvents = (format: FormatName): OutgoingEvent[] => {
  const named = outgoingEvents(hostileNames.length).map(({ event }, index) => ({
    ...event,
    organizationName: hostileNames[index] ?? '',
  }));
  return [...named, ...sampleEvents].map((event, index) => outgoing({ ...event, position: index + 1 }, format));
};

const file = (name: string) => fileURLToPath(new URL(`../../../studies/measure/${name}`, import.meta.url));
