import { createHash } from 'node:crypto';
import type { Defect } from '../../../src/ingest/entries/entry.ts';

/** An entry as its text came, and what must be stored of it. */
export interface DefectiveEntry {
  readonly name: string;
  readonly text: string;
  readonly defects: readonly Defect[] | null;
  readonly id: string;
  readonly time: string;
  /** Typed columns that it must still give. */
  readonly columns?: Readonly<Record<string, string | number | null>>;
}

export const hashed = (text: string): string => `sha256:${createHash('sha256').update(text, 'utf8').digest('hex')}`;

export const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

const TIME = '2026-01-10T08:00:00.123Z';
const action = `"action":{"type":"create","time":"${TIME}"}`;
const usable = (id: string, more: string): string => `{"id":"${id}",${action},${more}}`;
const unusable = (name: string, text: string, defects: readonly Defect[], time = TIME): DefectiveEntry => ({
  name,
  text,
  defects,
  id: hashed(text),
  time,
});
const ok = (
  id: string,
  name: string,
  more: string,
  defects: readonly Defect[] | null,
  columns = {},
): DefectiveEntry => ({
  name,
  text: usable(id, more),
  defects,
  id,
  time: TIME,
  columns: { action_type: 'create', ...columns },
});

const longId = 'x'.repeat(513);
const longEmojiId = '😀'.repeat(300);

/** Entries without an id or a time that can be used, and elements that are no entries. */
export const unnamedEntries: readonly DefectiveEntry[] = [
  unusable('no id', `{${action},"n":1}`, ['id_missing']),
  unusable('id null', `{"id":null,${action}}`, ['id_missing']),
  unusable('id a number', `{"id":12345678901234567890,${action}}`, ['id_unusable']),
  unusable('id empty', `{"id":"",${action}}`, ['id_unusable']),
  unusable('id an object', `{"id":{"a":1},${action}}`, ['id_unusable']),
  unusable('id with NUL', `{"id":"a\\u0000b",${action}}`, ['nul_character', 'id_unusable']),
  unusable('id with a lone surrogate', `{"id":"a\\ud800b",${action}}`, ['lone_surrogate', 'id_unusable']),
  { ...unusable('id of 513', usable(longId, '"n":1'), ['id_too_long']), id: hashed(longId) },
  { ...unusable('id of 300 emoji', usable(longEmojiId, '"n":1'), ['id_too_long']), id: hashed(longEmojiId) },
  unusable('nothing', '{}', ['id_missing', 'time_missing'], '-infinity'),
  unusable('null', 'null', ['not_an_object'], '-infinity'),
  unusable('true', 'true', ['not_an_object'], '-infinity'),
  unusable('number', '12345678901234567890', ['not_an_object'], '-infinity'),
  unusable('huge number', '1e200000', ['not_an_object', 'number_out_of_range'], '-infinity'),
  unusable('string', '"text \\u00e9 \\" \\\\"', ['not_an_object'], '-infinity'),
  unusable('string with NUL', '"\\u0000"', ['not_an_object', 'nul_character'], '-infinity'),
  unusable('array', '[ {"id":"inner"} , 1 ]', ['not_an_object'], '-infinity'),
  ...[
    ['no action', '{"id":"no action"}', 'time_missing'],
    ['action a string', '{"id":"action a string","action":"create"}', 'time_missing'],
    ['time null', '{"id":"time null","action":{"time":null}}', 'time_missing'],
    ['time a number', '{"id":"time a number","action":{"time":1767225600}}', 'time_unreadable'],
    ['time now', '{"id":"time now","action":{"time":"now"}}', 'time_unreadable'],
    ['time infinity', '{"id":"time infinity","action":{"time":"infinity"}}', 'time_unreadable'],
    ['30 February', '{"id":"30 February","action":{"time":"2026-02-30T00:00:00Z"}}', 'time_unreadable'],
    ['no zone', '{"id":"no zone","action":{"time":"2026-02-03T00:00:00"}}', 'time_unreadable'],
    ['time with NUL', '{"id":"time with NUL","action":{"time":"2026-02-03T00:00:00Z\\u0000"}}', 'time_unreadable'],
  ].map(([name = '', text = '', defect]): DefectiveEntry => {
    const defects = [...(text.includes('\\u0000') ? ['nul_character'] : []), defect] as Defect[];
    return { name, text, defects, id: name, time: '-infinity' };
  }),
];

/** Entries with an id and a time, whose text PostgreSQL cannot hold as jsonb or as json at all. */
export const unholdableEntries: readonly DefectiveEntry[] = [
  ok('nul', 'NUL', '"actor":{"email":"a\\u0000b"}', ['nul_character'], { actor_email: 'a\ufffdb' }),
  ok('nul-key', 'NUL in a key', '"actor":{"e\\u0000":1,"email":"a"}', ['nul_character'], { actor_email: 'a' }),
  ok('nul-far', 'NUL far from the columns', '"zone":{"x":["\\u0000"]}', ['nul_character']),
  ok('high', 'lone high surrogate', '"actor":{"email":"\\uD83D!"}', ['lone_surrogate'], { actor_email: '\ufffd!' }),
  ok('low', 'lone low surrogate', '"actor":{"email":"\\uDE00\\uD83D"}', ['lone_surrogate'], {
    actor_email: '\ufffd\ufffd',
  }),
  ok('both', 'both', '"a":"\\u0000\\ud800"', ['nul_character', 'lone_surrogate']),
  ok('huge', 'a number out of range', '"raw":{"status_code":1e200000,"uri":"/a"}', ['number_out_of_range'], {
    raw_uri: '/a',
    raw_status_code: null,
  }),
  ok('tiny', 'a tiny number', '"n":-1E-200000', ['number_out_of_range']),
  ok('digits', '140,000 digits', `"n":${'9'.repeat(140_000)}`, ['number_out_of_range']),
  ok('deep-6000', '6,000 levels', `"actor":{"email":"a"},"n":${nested(6_000)}`, ['nested_too_deeply'], {
    actor_email: 'a',
  }),
  ok('deep-100000', '100,000 levels', `"actor":{"email":"a"},"n":${nested(100_000)}`, ['nested_too_deeply'], {
    actor_email: 'a',
  }),
  ok(
    'deep-nul',
    '6,000 levels and NUL',
    `"actor":{"email":"\\u0000"},"n":${nested(6_000)}`,
    ['nul_character', 'nested_too_deeply'],
    { actor_email: '\ufffd' },
  ),
];

/** Entries that look strange and have no defect. */
export const strangeEntries: readonly DefectiveEntry[] = [
  ok('plain', 'plain', '"actor":{"email":"a@example.com"}', null, { actor_email: 'a@example.com' }),
  ok('large', 'a large integer', '"n":12345678901234567890,"m":0.10', null),
  ok('twice', 'keys that come twice', '"actor":{"email":"1","email":"2"},"actor":{"email":"3"}', null, {
    actor_email: '3',
  }),
  ok('order', 'the order of keys', '"z":1,"a":2,"m":{"y":1,"b":2}', null),
  ok('escapes', 'escapes', '"actor":{"email":"\\u0041\\/\\ud83d\\ude00\\n\\\\u0000"}', null, {
    actor_email: 'A/😀\n\\u0000',
  }),
  ok('space', 'white space inside', ' \n\t"a" : [ 1 ,\r\n 2 ] ', null),
  ok('unicode', 'characters of all lengths', '"actor":{"email":"aé€😀"}', null, { actor_email: 'aé€😀' }),
  ok('deep-4900', '4,900 levels', `"n":${nested(4_899)}`, null),
  ok('exponent', 'a number that is large but fits', '"n":1e9999', null),
];
