import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { Defect } from '../../../src/ingest/entries/entry.ts';
import {
  anyJson,
  anyMember,
  anyString,
  type Json,
  type Member,
  memberOf,
  object,
  scalar,
  string,
  whiteSpace,
} from './json-text.ts';

/** An element of `result`. Objects carry a mark of their own, so that no two of them have the same content by chance. */
export interface HostileEntry {
  readonly json: Json;
  /** Equal where the content is: texts that differ in white space only are the same content. */
  readonly content: string;
}

/** What must be stored of an entry. */
export interface ExpectedEvent {
  readonly id: string;
  /** Milliseconds since 1970, rounded down; -Infinity where there is no time. */
  readonly timeMs: number;
  readonly raw: string;
  readonly defects: readonly Defect[];
  readonly content: string;
  /** Two of the typed columns, as far as they must be made of it. */
  readonly email: string | null;
  readonly status: number | null;
}

const quoted = (text: string) => string(JSON.stringify(text));
const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text, 'utf8').digest('hex')}`;

/** Ids that differ only by what some collation, normalization or column type would drop; and ids that are none. */
const strangeIds: readonly Json[] = [
  ...['a', 'A', 'a ', ' a', 'á', 'a\u0301', 'ß', 'SS', '1', '01', '1.0', 'null', '__proto__', '\u2028', '\ufeffa'].map(
    quoted,
  ),
  ...['x'.repeat(512), 'x'.repeat(513), '😀'.repeat(256), '😀'.repeat(257), '\uffff'.repeat(512)].map(quoted),
  ...["'; drop table audit_events; --", '$1', '\\', 'a\tb', 'a\nb', `sha256:${'0'.repeat(64)}`, 'sha256:'].map(quoted),
  ...['"\\u0061"', '"\\u0061\\u0301"', '"a\\u0000"', '"\\u0000"', '"\\ud800"', '"a\\udc00"', '""'].map((text) =>
    string(text),
  ),
  ...['null', '0', '-0', '1e400', '12345678901234567890', 'true', 'false'].map((text) => scalar(text)),
  object([]),
  object([{ key: string('"id"'), value: string('"a"') }]),
];
const longIds = [20_000, 100_000].map((length) => quoted('long id '.repeat(length / 8)));

const anyId = fc.oneof(
  { weight: 400, arbitrary: fc.uuid().map(quoted) },
  { weight: 200, arbitrary: fc.constantFrom(...strangeIds) },
  { weight: 50, arbitrary: anyString },
  { weight: 30, arbitrary: anyJson },
  { weight: 1, arbitrary: fc.constantFrom(...longIds) },
);

const time = (text: string, timeMs: number) => string(JSON.stringify(text), timeMs);
const noonMs = Date.UTC(2026, 9, 1, 12);
const readableTimes: readonly Json[] = [
  time('2026-10-01T12:00:00Z', noonMs),
  time('2026-10-01t12:00:00z', noonMs),
  time('2026-10-01 12:00:00Z', noonMs),
  time('2026-10-01T12:00:00.1Z', noonMs + 100),
  time('2026-10-01T12:00:00.123456789012Z', noonMs + 123),
  time('2026-10-01T12:00:00.000999Z', noonMs),
  time('2026-10-01T12:00:00+00:00', noonMs),
  time('2026-10-01T12:00:00-00:00', noonMs),
  time('2026-10-01T02:30:00-09:30', noonMs),
  time('2026-10-02T03:59:00+15:59', noonMs),
  time('2026-10-01T11:59:60Z', noonMs),
  time('2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)),
  time('2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)),
  time('1969-12-31T23:59:59.999Z', -1),
  time('0001-01-01T00:00:00Z', -62_135_596_800_000),
  time('0001-01-01T00:00:00+15:00', -62_135_596_800_000 - 15 * 3_600_000),
  time('9999-12-31T23:59:59Z', 253_402_300_799_000),
  time('9999-12-31T23:59:60-15:59', 253_402_300_800_000 + (15 * 60 + 59) * 60_000),
  string('"2026-10-01T12:00:\\u0030\\u0030\\u005a"', noonMs),
];
const unreadableTimes: readonly Json[] = [
  ...['now', 'today', 'epoch', 'infinity', '-infinity', 'yesterday', 'allballs', '', ' ', '0', 'Z'].map(quoted),
  ...['2026-10-01', '2026-10-01T12:00:00', '2026-10-01T12:00Z', '20261001T120000Z', '2026-W40-4', '2026-274'].map(
    quoted,
  ),
  ...['0000-01-01T00:00:00Z', '0044-03-15 00:00:00Z BC', '+12026-01-01T00:00:00Z', '294277-01-01T00:00:00Z'].map(
    quoted,
  ),
  ...['-0001-01-01T00:00:00Z', '2026-02-29T00:00:00Z', '2026-13-01T00:00:00Z', '2026-00-01T00:00:00Z'].map(quoted),
  ...['2026-10-01T24:00:00Z', '2026-10-01T12:60:00Z', '2026-10-01T12:00:61Z', '2026-10-01T12:00:00+16:00'].map(quoted),
  ...['2026-10-01T12:00:00,5Z', '2026-10-01T12:00:00.Z', '2026-10-01T12:00:00.1234567890123Z', 'J2451187'].map(quoted),
  ...['2026-10-01T12:00:00 UTC', '2026-10-01T12:00:00[UTC]', ' 2026-10-01T12:00:00Z', '2026-10-01T12:00:00Z '].map(
    quoted,
  ),
  ...['2026-10-01T12:00:00Z\n', '２０２６-10-01T12:00:00Z', '2026-10-01T12:00:00−05:00', '04:05:06'].map(quoted),
  ...['"2026-10-01T12:00:00Z\\u0000"', '"2026-10-01T12:00:00Z\\ud800"'].map((text) => string(text)),
  ...['1790856000', '1790856000000', '1e400', '-1', 'true', 'false'].map((text) => scalar(text)),
];
const anyTime = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.integer({ min: 0, max: 4_000_000_000_000 }).map((ms) => time(new Date(ms).toISOString(), ms)),
  },
  { weight: 6, arbitrary: fc.constantFrom(...readableTimes) },
  { weight: 6, arbitrary: fc.constantFrom(...unreadableTimes) },
  { weight: 1, arbitrary: anyJson },
);

const statusCodes: readonly Json[] = [
  scalar('200', 200),
  scalar('2e2', 200),
  scalar('-1', -1),
  scalar('999999999', 999_999_999),
  string('"404"', 404),
  string('"007"', 7),
  ...['2147483648', '-2147483649', '99999999999999999999', '200.5', 'true', 'null', '[200]'].map((text) =>
    scalar(text),
  ),
  ...['200\n', ' 200', '', '0x10', '+5', '２００', '1_000'].map(quoted),
];
const addresses = [
  '127.0.0.1',
  '::ffff:1.2.3.4',
  'fe80::1%eth0',
  '999.1.1.1',
  '1.2.3.4/33',
  '1.2.3.4, 5.6.7.8',
  'unknown',
  '',
];

const key = (text: string) => string(text);
const part = (name: Json, fields: readonly (readonly [string, fc.Arbitrary<Json>])[]): fc.Arbitrary<Member> =>
  fc
    .tuple(
      fc.tuple(...fields.map(([, arbitrary]) => fc.option(arbitrary, { freq: 5, nil: undefined }))),
      fc.array(anyMember, { maxLength: 1 }),
      whiteSpace,
    )
    .map(([values, more, space]) => {
      const members = values.flatMap((value, index) =>
        value === undefined ? [] : [{ key: key(`"${fields[index]?.[0]}"`), value }],
      );
      return { key: name, value: object([...members, ...more], space) };
    });

const idMember = fc
  .tuple(fc.constantFrom(key('"id"'), key('"id"'), key('"id"'), key('"i\\u0064"')), anyId)
  .map(([name, value]) => ({ key: name, value }));
const actionMember = fc.oneof(
  {
    weight: 12,
    arbitrary: part(key('"action"'), [
      ['time', anyTime],
      ['type', anyString],
    ]),
  },
  { weight: 1, arbitrary: anyJson.map((value) => ({ key: key('"action"'), value })) },
);
const otherMember = fc.oneof(
  part(key('"actor"'), [
    ['email', anyString],
    ['ip_address', fc.constantFrom(...addresses.map(quoted))],
    ['id', anyJson],
  ]),
  part(key('"raw"'), [
    ['status_code', fc.constantFrom(...statusCodes)],
    ['uri', anyString],
    ['cf_rayid', anyString],
  ]),
  part(key('"resource"'), [
    ['scope', anyJson],
    ['request', anyJson],
    ['type', anyString],
  ]),
  anyMember,
);

const anyObject = fc
  .tuple(
    fc.array(idMember, { minLength: 0, maxLength: 1 }),
    fc.oneof(
      { weight: 9, arbitrary: fc.tuple(actionMember) },
      { weight: 1, arbitrary: fc.array(actionMember, { maxLength: 2 }) },
    ),
    fc.array(otherMember, { maxLength: 3 }),
    fc.option(idMember, { freq: 12, nil: undefined }),
    fc.option(whiteSpace, { freq: 3, nil: '' }),
  )
  .map(([ids, actions, others, second, space]) => ({
    members: [...ids, ...others.slice(0, 1), ...actions, ...others.slice(1), ...(second === undefined ? [] : [second])],
    space,
  }));

type Twin = 'none' | 'same' | 'spaced' | 'changed';

/**
 * The entries of one page, with repetitions of what stands before them: the same text, other white space, other content.
 * Called with the number of the page, which is part of their marks.
 */
export type EntriesOfPage = (page: number) => readonly HostileEntry[];

export const anyEntries = (length: {
  readonly minLength: number;
  readonly maxLength: number;
}): fc.Arbitrary<EntriesOfPage> =>
  fc
    .array(
      fc.tuple(
        fc.oneof({ weight: 20, arbitrary: anyObject }, { weight: 1, arbitrary: anyJson }),
        fc.constantFrom<Twin>(...Array<Twin>(20).fill('none'), 'same', 'spaced', 'changed'),
      ),
      { ...length, size: 'max' },
    )
    .map((drawn) => (page) => drawn.flatMap(([shape, twin], index) => withTwin(shape, twin, `${page}.${index}`)));

const withTwin = (
  shape: Json | { readonly members: readonly Member[]; readonly space: string },
  twin: Twin,
  mark: string,
): HostileEntry[] => {
  if ('text' in shape) return repeated({ json: shape, content: shape.text }, twin === 'none' ? 0 : 1);
  const made = (content: string, space: string): HostileEntry => ({
    json: object([...shape.members, { key: key('"mark of the test"'), value: string(`"${content}"`) }], space),
    content,
  });
  const first = made(mark, shape.space);
  if (twin === 'spaced') return [first, made(mark, `${shape.space} `)];
  if (twin === 'changed') return [first, made(`${mark} changed`, shape.space)];
  return repeated(first, twin === 'same' ? 1 : 0);
};

const repeated = (entry: HostileEntry, times: number): HostileEntry[] => Array<HostileEntry>(1 + times).fill(entry);

const asText: readonly Defect[] = ['nested_too_deeply'];
const notJsonb: readonly Defect[] = ['nul_character', 'lone_surrogate', 'number_out_of_range', ...asText];

/** What the store must make of an entry. `damaged`: the bytes of every U+FFFD of the page were no UTF-8. */
export const expectedEvent = ({ json, content }: HostileEntry, damaged: boolean): ExpectedEvent => {
  const defects: Defect[] = [];
  if (json.nul) defects.push('nul_character');
  if (json.loneSurrogate) defects.push('lone_surrogate');
  if (json.oddNumber) defects.push('number_out_of_range');
  if (json.depth > 5_000) defects.push('nested_too_deeply');
  if (damaged && json.text.includes('\ufffd')) defects.push('invalid_utf8');
  const email = memberOf(memberOf(json, 'actor'), 'email');
  const status = memberOf(memberOf(json, 'raw'), 'status_code');
  const columns = { email: asColumn(email), status: status?.readAs ?? null };
  const kept = {
    ...columns,
    content,
    raw: defects.some((defect) => asText.includes(defect)) ? JSON.stringify(json.text) : json.text,
  };
  if (json.members === undefined) {
    return { ...kept, id: sha256(json.text), timeMs: Number.NEGATIVE_INFINITY, defects: ['not_an_object', ...defects] };
  }
  const id = expectedId(memberOf(json, 'id'), defects) ?? sha256(json.text);
  const sent = memberOf(memberOf(json, 'action'), 'time');
  const none = sent === undefined || sent.text === 'null';
  if (sent?.readAs === undefined) defects.push(none ? 'time_missing' : 'time_unreadable');
  return { ...kept, id, timeMs: sent?.readAs ?? Number.NEGATIVE_INFINITY, defects };
};

/** PostgreSQL's text holds neither NUL nor half a character. */
const asColumn = (json: Json | undefined): string | null =>
  json?.value?.replaceAll('\0', '\ufffd').toWellFormed() ?? null;

/** As orgtrail names what has no id. */
const isOwnId = (id: string): boolean => /^sha256:[0-9a-f]{64}$/.test(id);

const expectedId = (sent: Json | undefined, defects: Defect[]): string | undefined => {
  if (sent === undefined || sent.text === 'null') defects.push('id_missing');
  else if (sent.value === undefined || sent.value === '' || sent.nul || sent.loneSurrogate || isOwnId(sent.value))
    defects.push('id_unusable');
  else if (sent.value.length <= 512) return sent.value;
  else {
    defects.push('id_too_long');
    return sha256(sent.value);
  }
  return undefined;
};

/** What a source must hold after these entries, in this order: each id once, as it was first seen, and what differed later. */
export const expectedState = (
  events: readonly ExpectedEvent[],
): { readonly stored: readonly ExpectedEvent[]; readonly changes: readonly string[] } => {
  const stored = new Map<string, ExpectedEvent>();
  const changes = new Set<string>();
  for (const event of events) {
    const first = stored.get(event.id);
    if (first === undefined) stored.set(event.id, event);
    else if (event.raw !== first.raw && (event.content !== first.content || [event, first].some(isNotJsonb))) {
      changes.add(`${event.id} ${event.raw}`);
    }
  }
  return { stored: [...stored.values()], changes: [...changes].sort() };
};

export const isNotJsonb = (event: ExpectedEvent): boolean => event.defects.some((defect) => notJsonb.includes(defect));
