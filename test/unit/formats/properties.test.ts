import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { formats } from '../../../src/formats/registry.ts';
import { ecsFields, ocsfSchema } from '../../support/formats/schema-facts.ts';
import { forAll } from '../for-all.ts';
import { anyEvent, anyEventRuns } from './any-event.ts';
import { EcsValidator } from './ecs-validator.ts';
import { type ReadLine, readCef, readLeef } from './line-readers.ts';
import { OcsfValidator } from './ocsf-validator.ts';
import { sampleEvents } from './sample-events.ts';
import { seed, simulatedEvents, simulatedUserEvents } from './simulated-events.ts';

describe('any JSON text as an entry', { timeout: 60_000 }, () => {
  test('native has the very text of the entry', () =>
    forAll([anyEvent], anyEventRuns, (one) => {
      const line = formats.native.format(one);
      const exact = line.endsWith(`,"raw":${one.rawText}}`) ? one.rawText : JSON.parse(line).raw_text;
      expect(exact).toBe(one.rawText);
      expect(JSON.parse(line).raw).toEqual(JSON.parse(one.rawText));
    }));

  test('native is as its published schema says', () => {
    const check = z.fromJSONSchema(JSON.parse(readFileSync(nativeSchema, 'utf8')));
    for (const event of sampleEvents) check.parse(JSON.parse(formats.native.format(event)));
    forAll([anyEvent], anyEventRuns, (one) => check.parse(JSON.parse(formats.native.format(one))));
    const { raw, ...rest } = JSON.parse(formats.native.format(sampleEvents[0] as FeedEvent));
    for (const wrong of [rest, { ...rest, raw, position: 0 }, { ...rest, raw, defects: 'none' }])
      expect(check.safeParse(wrong).success).toBe(false);
  });

  test('CEF reads back to the same values, and no value makes a field or a header', () =>
    forAll([anyEvent], anyEventRuns, (one) => {
      const read = readCef(formats.cef.format(one));
      const at = (section: string, key: string, limit = 1_023) => shown(memberOf(one, section, key), limit, true);
      checkFields(read, {
        act: at('action', 'type', 63),
        outcome: at('action', 'result', 63),
        cat: at('resource', 'type'),
        suser: at('actor', 'email'),
        spriv: at('actor', 'type'),
        request: at('raw', 'uri'),
        requestMethod: at('raw', 'method'),
        requestClientApplication: at('raw', 'user_agent'),
        cs2: at('actor', 'context', 4_000),
        cs1: one.organizationName ?? undefined,
        cn1: '1',
      });
      expect(read.fields.at(-1)).toEqual(['cn1Label', 'Feed Position']);
      expect([read.header.slice(0, 4), read.header.length]).toEqual([['CEF:0', 'Cloudflare', 'Audit Logs', '2'], 7]);
      const name = shown(memberOf(one, 'action', 'description'), 512, false);
      expect(read.header[5]).toBe(name ?? read.header[4]);
    }));

  test('LEEF reads back to the same values, and no value makes a field or a header', () =>
    forAll([anyEvent], anyEventRuns, (one) => {
      const read = readLeef(formats.leef.format(one));
      const at = (section: string, key: string) => shown(memberOf(one, section, key), 255, false);
      const keys = checkFields(read, {
        cat: at('resource', 'product'),
        action: at('action', 'type'),
        outcome: at('action', 'result'),
        eventName: at('action', 'description'),
        role: at('actor', 'type'),
        realm: at('actor', 'context'),
        srcAddress: at('actor', 'ip_address'),
        userAgent: at('raw', 'user_agent'),
        resource: at('resource', 'id'),
        position: '1',
      });
      expect(keys.at(-1)).toBe('position');
      expect(read.header[4]).toMatch(/^[\w.-]+:[\w.-]+$/);
    }));

  test(`OCSF and ECS stay valid, as they are of 2,000 simulated entries of all kinds (seed ${seed})`, () => {
    const [ocsfValidator, ecsValidator] = [new OcsfValidator(ocsfSchema), new EcsValidator(ecsFields)];
    const kinds = new Set<unknown>();
    const expectValid = (one: FeedEvent) => {
      const ocsf = JSON.parse(formats.ocsf.format(one));
      kinds.add(ocsf.type_uid);
      expect(ocsfValidator.validate(ocsf), one.rawText.slice(0, 2_000)).toEqual([]);
      expect(ecsValidator.validate(JSON.parse(formats.ecs.format(one))), one.rawText.slice(0, 2_000)).toEqual([]);
    };
    const events = [...sampleEvents, ...simulatedEvents(2_000), ...simulatedUserEvents(200, 2_001)];
    for (const event of events) expectValid(event);
    // biome-ignore format: a list
    expect([...kinds].sort()).toEqual([
      300101, 300106, 300199, 300201, 300401, 300402, 300403, 300404, 300501, 300502, 600300, 600301, 600302, 600303, 600304,
      600399,
    ]);
    // Of an invalid byte or a refusal by the database, an entry's text knows nothing.
    // biome-ignore format: a list
    expect([...new Set(events.flatMap(({ defects }) => defects ?? []))].sort()).toEqual([
      'id_missing', 'id_too_long', 'id_unusable', 'lone_surrogate', 'nested_too_deeply', 'not_an_object', 'nul_character',
      'number_out_of_range', 'time_missing', 'time_unreadable',
    ]);
    fc.assert(fc.property(anyEvent, expectValid), anyEventRuns);
  });
});

/** What a value must come back as, worked out character by character. */
const shown = (given: unknown, limit: number, keepsBreaks: boolean): string | undefined => {
  if (typeof given !== 'string' || given === '') return undefined;
  const characters = Array.from(given, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (keepsBreaks && (character === '\n' || character === '\r')) return character;
    if ((code >= 9 && code <= 13) || code === 0x85 || code === 0x2028 || code === 0x2029) return ' ';
    return code < 32 || (code >= 127 && code < 160) || (code >= 0xd800 && code <= 0xdfff) ? '\ufffd' : character;
  });
  if (characters.join('').length <= limit) return characters.join('');
  let short = '';
  for (const character of characters) {
    if (short.length + character.length > limit - 1) break;
    short += character;
  }
  return `${short}…`;
};

const memberOf = (one: FeedEvent, section: string, key: string): unknown => {
  const parsed = JSON.parse(one.rawText)?.[section];
  return typeof parsed === 'object' && parsed !== null && Object.hasOwn(parsed, key) ? parsed[key] : undefined;
};

const checkFields = (read: ReadLine, expected: Readonly<Record<string, string | undefined>>) => {
  const keys = read.fields.map(([key]) => key);
  expect(new Set(keys).size).toBe(keys.length);
  const found = Object.fromEntries(read.fields);
  for (const [key, one] of Object.entries(expected)) expect([key, found[key]]).toEqual([key, one]);
  return keys;
};

const nativeSchema = new URL('../../../docs/reference/native.schema.json', import.meta.url);
