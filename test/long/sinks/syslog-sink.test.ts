import { createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { listen } from '../../support/network/listen.ts';
import { mostHeldBytes } from '../../support/process/held-bytes.ts';
import { until } from '../../support/process/until.ts';
import { outgoingEvents } from '../../support/sinks/syslog-events.ts';
import { syslogSink } from '../../support/sinks/syslog-sink.ts';

describe('over TCP', () => {
  const tcpSink = (port: number, settings: Readonly<Record<string, unknown>> = {}) =>
    syslogSink({ url: `tcp://127.0.0.1:${port}`, ...settings });

  test('messages are framed by their length in bytes', async () => {
    const chunks: Buffer[] = [];
    await using server = await startScripted((socket) => {
      socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => socket.end());
    });
    const events = outgoingEvents(2, { organizationName: 'Björn 😀' });
    expect(await tcpSink(server.port).deliver({ id: 'one', events }, never())).toEqual({
      kind: 'delivered',
      refused: [],
    });
    let rest = Buffer.concat(chunks);
    for (const { text } of events) {
      const space = rest.indexOf(' ');
      const end = space + 1 + Number(rest.subarray(0, space));
      const message = rest.subarray(space + 1, end).toString('utf8');
      expect(message).toMatch(/^<109>1 2026-11-05T10:00:00Z \S+ orgtrail - native \[orgtrail@32473 /);
      expect(message).toContain('organization="Björn 😀"');
      expect(message.endsWith(text)).toBe(true);
      rest = rest.subarray(end);
    }
    expect(rest).toHaveLength(0);
  });

  test.each([
    ['closes at once', (socket: Socket) => socket.destroy(), /closed|ECONNRESET|EPIPE/],
    [
      'closes when it has read a part',
      (socket: Socket) => socket.once('data', () => socket.end().destroy()),
      /closed|ECONNRESET|EPIPE/,
    ],
    [
      'resets when it has read a part',
      (socket: Socket) => socket.once('data', () => socket.resetAndDestroy()),
      /closed|ECONNRESET|EPIPE/,
    ],
    ['ends its own side and reads on', (socket: Socket) => socket.end().resume(), /closed the connection before/],
    ['never reads', () => {}, /has not read everything and closed within 3s/, '3s'],
    [
      'reads everything and never closes',
      (socket: Socket) => socket.resume(),
      /has not read everything and closed within 3s/,
      '3s',
    ],
  ])('a receiver that %s has nothing for certain', async (_, script, reason, timeout = '10m') => {
    await using server = await startScripted(script);
    const outcome = await tcpSink(server.port, { timeout }).deliver(delivery(2_000), never());
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringMatching(reason) });
  });

  test('with confirm none, what was sent counts, though the receiver never closes', async () => {
    let bytes = 0;
    await using server = await startScripted((socket) => {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
    });
    const outcome = await tcpSink(server.port, { confirm: 'none' }).deliver(delivery(10), never());
    expect(outcome).toEqual({ kind: 'delivered', refused: [] });
    await until('the receiver has read it', async () => bytes > 10 * 500);
  });

  test('what is longer than max_message_bytes is refused by its index, the others are delivered', async () => {
    let text = '';
    await using server = await startScripted((socket) => {
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.on('end', () => socket.end());
    });
    const [first, , third] = outgoingEvents(3, { textLength: 400 });
    const [long] = outgoingEvents(1, { firstPosition: 2, textLength: 3_000 });
    const events = [first, long, third].filter((event) => event !== undefined);
    const sink = tcpSink(server.port, { max_message_bytes: 2_000 });
    expect(await sink.deliver({ id: 'one', events }, never())).toEqual({
      kind: 'delivered',
      refused: [{ index: 1, reason: expect.stringMatching(/^3\d\d\d bytes, and max_message_bytes is 2000$/) }],
    });
    expect(text).toContain(first?.key);
    expect(text).toContain(third?.key);
    expect(text).not.toContain(long?.key);
  });

  test('a receiver that stands still holds no more in memory than a few messages', async () => {
    await using server = await startScripted((socket) => socket.pause());
    expect(await mostHeldBytes(tcpSink(server.port, { timeout: '3s' }))).toBeLessThan(20_000_000);
  });
});

test('the target has no more than scheme, host and port', () => {
  expect(syslogSink({ url: 'tls://siem.example.com/x' }).target).toBe('tls://siem.example.com:6514');
  expect(syslogSink({ url: 'tcp://[::1]' }).target).toBe('tcp://[::1]:514');
});

const delivery = (count: number, textLength = 500) => ({ id: 'one', events: outgoingEvents(count, { textLength }) });
const never = () => new AbortController().signal;

/** A receiver that does to each connection what it is told. */
const startScripted = async (script: (socket: Socket) => void) => {
  return await listen(createServer({ allowHalfOpen: true }, script));
};
