import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { formatNames, formats } from '../../../src/formats/registry.ts';
import { cleanText } from '../../../src/formats/text.ts';
import { forAll } from '../for-all.ts';
import { anyEvent, anyEventRuns } from './any-event.ts';
import { sampleEvents } from './sample-events.ts';
import { storedEvents } from './simulated-events.ts';

// What every format promises. What one of them promises beside that is in the other files of this folder.
describe.each(formatNames)('the format %s', { timeout: 60_000 }, (name) => {
  const { format, readLine, json, contentType, fileExtension } = formats[name];

  /** One line of valid UTF-8. Only what keeps the entry to the byte may have in it what some readers take for a line end. */
  const expectLine = (event: FeedEvent, line: string) => {
    expect(line.isWellFormed()).toBe(true);
    expect(line).not.toMatch(/[\n\r]/);
    const keepsBytes = readLine(line).rawText !== undefined;
    if (!keepsBytes) expect(line).not.toMatch(/[\v\f\u0085\u2028\u2029]/);
    if (json) expect(JSON.parse(`[${line},1]`)).toEqual([expect.any(Object), 1]);
    const { position, id = cleanText(event.id), rawText = event.rawText } = readLine(line);
    const said = { position: event.position, id: cleanText(event.id), rawText: event.rawText };
    expect({ position, id, rawText }).toEqual(said);
  };

  test('writes the hand-made entries as in its golden file', async () => {
    const lines = sampleEvents.map((event) => `${format(event)}\n`).join('');
    await expect(lines).toMatchFileSnapshot(root(`src/formats/${name}/golden${fileExtension}`));
  });

  test('says of itself what it writes', () => {
    expect(contentType).toBe(json ? 'application/x-ndjson' : 'text/plain; charset=utf-8');
    expect(fileExtension).toMatch(/^\.[a-z]+$/);
  });

  test.each(['organizationName', 'accountName', 'zoneName'] as const)(
    'writes one line if the entry is plain, and %s has what some readers take for a line end',
    (name) => {
      const [plain] = storedEvents([JSON.stringify({ id: 'a', zone: { id: 'z' } })], 'o');
      const account = { sourceKind: 'account', sourceId: 'b', accountId: 'b', zoneId: 'z' };
      const event = { ...(plain as FeedEvent), ...account, [name]: 'a\u2028b\u0085c\u007fd' };
      expectLine(event, format(event));
    },
  );

  test('writes one line for each event, which says which event it is', () => {
    const lines = sampleEvents.map((event) => {
      const line = format(event);
      expectLine(event, line);
      return line;
    });
    expect(new Set(lines).size).toBe(sampleEvents.length);
  });

  test('writes one line for any JSON text as an entry', () =>
    forAll([anyEvent], anyEventRuns, (event) => expectLine(event, format(event))));

  test('writes the same line for the same event', () => {
    for (const event of sampleEvents) expect(format(structuredClone(event))).toBe(format(event));
  });

  test('does not read a line that was cut, or is of no format', () => {
    for (const event of sampleEvents) {
      const line = format(event);
      for (const part of [0, 0.1, 0.5, 0.9]) expect(() => readLine(line.slice(0, line.length * part))).toThrow();
      const withoutEnd = line.slice(0, json ? -1 : -String(event.position).length);
      expect(() => readLine(withoutEnd)).toThrow();
    }
    for (const line of ['{}', 'null', 'hello']) expect(() => readLine(line)).toThrow();
  });

  test('still makes a line of a text that is no JSON, which the store never holds', () => {
    const [event] = sampleEvents;
    if (event === undefined) throw new Error('no event');
    expect(format({ ...event, rawText: '{"id":' })).not.toContain('\n');
  });

  test('has a page of its own, which docs/formats.md names', () => {
    expect(readFileSync(root(`src/formats/${name}/README.md`), 'utf8')).toMatch(new RegExp(`^# ${name}\n`));
    expect(readFileSync(root('docs/formats.md'), 'utf8')).toContain(
      `| [\`${name}\`](../src/formats/${name}/README.md) |`,
    );
  });
});

const root = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
