import { expect, test } from 'vitest';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { formatNames } from '../../../src/formats/registry.ts';
import { type SyslogHeader, syslogHostname, syslogMessage } from '../../../src/sinks/kinds/syslog/syslog.ts';
import { outgoing } from '../../support/sinks/outgoing-events.ts';
import { outgoingEvents } from '../../support/sinks/syslog-events.ts';
import { sampleEvents } from '../formats/sample-events.ts';

const header: SyslogHeader = { facility: 13, hostname: 'collector-1', appName: 'orgtrail', format: 'native' };
const [plain] = outgoingEvents(1);
const event = plain?.event as FeedEvent;
const messageOf = (changes: Partial<FeedEvent>) => syslogMessage(outgoing({ ...event, ...changes }), header);

/** The grammar of RFC 5424, section 6, for messages with one element of structured data. */
// biome-ignore format: a table
const grammar = new RegExp(
  [
    String.raw`^<(?:\d|[1-9]\d|1[0-8]\d|19[01])>1`,
    String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)`, String.raw`[\x21-\x7e]{1,255}`,
    String.raw`[\x21-\x7e]{1,48}`, '-', String.raw`[\x21-\x7e]{1,32}`,
    String.raw`\[orgtrail@32473(?: [a-z]{1,32}="(?:[^"\\\]]|\\["\\\]])*")+\]`, '[^]*$',
  ].join(' '),
  'u',
);

test('hand-made entries, ordinary and hostile, are as in the golden file', async () => {
  const lines = sampleEvents.map(
    (sample) => `${syslogMessage(outgoing(sample, 'cef'), { ...header, format: 'cef' })}\n`,
  );
  await expect(lines.join('')).toMatchFileSnapshot('golden/syslog-cef.txt');
});

test.each(formatNames)('%s: one line of the grammar, with the text at its end', (format) => {
  for (const sample of sampleEvents) {
    const one = outgoing(sample, format);
    const message = syslogMessage(one, { ...header, format });
    expect(message).toMatch(grammar);
    expect(message).not.toMatch(/[\r\n]/);
    expect(message.endsWith(`] ${one.text}`)).toBe(true);
  }
});

test.each([
  [{ type: 'update', result: 'failure' }, 13, 108],
  [{ type: 'view', result: 'failure' }, 13, 108],
  [{ type: 'update', result: 'success' }, 13, 109],
  [{ type: 'rotate' }, 13, 109],
  [{ type: 'view', result: 'success' }, 13, 110],
  [{ type: 'delete', result: 'Failure' }, 0, 4],
  [{ type: 'VIEW' }, 23, 190],
])('PRI of %j with facility %d is %d', (action, facility, priority) => {
  const message = syslogMessage(outgoing({ ...event, ...entry(action) }), { ...header, facility });
  expect(message.startsWith(`<${priority}>1 `)).toBe(true);
});

test.each([
  ['2026-11-05T10:00:00Z', '2026-11-05T10:00:00Z'],
  ['2026-11-05T10:00:00.123456789Z', '2026-11-05T10:00:00.123456Z'],
  ['2026-11-05T12:00:00.5+02:00', '2026-11-05T12:00:00.5+02:00'],
  ['2026-11-05t10:00:00.123456789z', '2026-11-05T10:00:00.123Z'],
  ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
  ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z'],
  ['2099-12-31T23:59:59Z', '2099-12-31T23:59:59Z'],
])('TIMESTAMP of %s is %s', (actionTime, timestamp) => expect(field(messageOf({ actionTime }), 1)).toBe(timestamp));

test.each([null, '0001-01-01T00:00:00Z', '1969-12-31T23:59:59Z', '2100-01-01T00:00:00Z', '9999-12-31T23:59:59Z'])(
  'TIMESTAMP of %s is that of receipt',
  (actionTime) => expect(field(messageOf({ actionTime }), 1)).toBe('2026-11-05T10:00:30.123456Z'),
);

const structured = (organizationName: string | null) =>
  messageOf({ organizationName }).match(/ (\[.*?[^\\]\]) \{/s)?.[1];

test('STRUCTURED-DATA names position, feed, key and organization', () =>
  expect(structured('Acme')).toBe(
    `[orgtrail@32473 position="1" feed="${event.feedId}" key="${plain?.key}" organization="Acme"]`,
  ));

test.each([
  ['a "b" [c] \\ d', String.raw`a \"b\" [c\] \\ d`],
  ['"] forged', String.raw`\"\] forged`],
  ['x\r\n<13>1 - - - - - - forged', 'x  <13>1 - - - - - - forged'],
  ['bell\u0007 esc\u001b[2J del\u007f', 'bell\ufffd esc\ufffd[2J del\ufffd'],
  ['line\u2028separator\u0085next', 'line separator next'],
  ['Björn 株式会社 😀', 'Björn 株式会社 😀'],
  ['', ''],
  ['x'.repeat(300), `${'x'.repeat(255)}…`],
  [null, '019c4f65e7607d8c9f6f6b58aa3aff50'],
])('STRUCTURED-DATA of an organization called %j', (name, written) =>
  expect(structured(name)).toContain(` organization="${written}"]`),
);

test.each([
  ['collector-1.example.com', 'collector-1.example.com'],
  ['two words é', 'two_words__'],
  ['', '-'],
  ['x'.repeat(300), 'x'.repeat(255)],
])('the HOSTNAME of %j is %j', (name, hostname) => expect(syslogHostname(name)).toBe(hostname));

const entry = (action: Record<string, string>) => ({ rawText: JSON.stringify({ action }) });
const field = (message: string, index: number) => message.split(' ')[index];
