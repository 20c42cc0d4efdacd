import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  emptyPage,
  idsOf,
  isRepetition,
  type Page,
  readCarefully,
  readPage,
  readPageBody,
  UnreadablePageError,
} from '../../../../src/ingest/entries/page.ts';
import { forAll } from '../../for-all.ts';

const plain = (id: string, time = '2026-10-01T12:00:00Z'): string => `{"id":"${id}","action":{"time":"${time}"}}`;
const body = (elements: readonly string[], info = ''): string =>
  `{"success":true,"errors":[],"result":[${elements.join(', ')}]${info === '' ? '' : `,"result_info":${info}`}}`;

const bodyOf = (text: string) => ({ bytes: Buffer.from(text), text, validUtf8: true });

const hostile = [
  '"\\u0000"',
  '{"id":"\\ud83d"}',
  '{"result":[1,2],"result_info":{"cursor":"decoy"}}',
  '{"__proto__":{"id":1},"toString":null}',
  '{"id":"a","id":"b","action":[],"action":{"time":{},"time":7}}',
  '-1E+999999',
  '9'.repeat(2_000),
  `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  '"\u2028\ufeff😀\\\\u0000\\u0000"',
  plain('ok'),
];

describe('readPage', () => {
  it('keeps every element to the byte, and never throws for what an entry holds (invariant 4)', () => {
    const element = fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom(...hostile) },
      { weight: 2, arbitrary: fc.json() },
      {
        weight: 1,
        arbitrary: fc
          .record({ id: fc.jsonValue(), action: fc.record({ time: fc.jsonValue() }) }, { requiredKeys: [] })
          .map((entry) => JSON.stringify(entry, undefined, 1)),
      },
      { weight: 2, arbitrary: fc.integer().map((id) => plain(`id-${id}`)) },
    );
    forAll([fc.array(element, { maxLength: 8 }), fc.boolean()], 150, (elements, validUtf8) => {
      const page = readPage(body(elements, '{"cursor":"next"}'), validUtf8);
      const entries = readCarefully(page);
      expect(page.entries).toBe(elements.length);
      expect(page.entriesText).toBe(`[${elements.join(', ')}]`);
      expect(entries.map(({ text }) => text)).toEqual(elements);
      expect(page.nextCursor).toBe('next');
      expect(page.timesMs).toHaveLength(entries.filter(({ actionTime }) => actionTime !== undefined).length);
      const allPlain = entries.every(({ defects }) => defects.length === 0);
      expect(page.kind).toBe(allPlain && validUtf8 ? 'json' : 'careful');
    });
  });

  it('gives the valid times in the order of the page', () => {
    const times = ['2026-10-01T12:00:01.5Z', 'never', '2026-10-01T14:00:00+02:00', '2026-10-01T12:00:00.000999Z'];
    const page = readPage(body(times.map((time, index) => plain(`${index}`, time))));
    const noonMs = Date.UTC(2026, 9, 1, 12);
    expect(page.timesMs).toEqual([noonMs + 1_500, noonMs, noonMs]);
    expect(page.entries).toBe(4);
    expect(readCarefully(page).map(({ defects }) => defects)).toEqual([[], ['time_unreadable'], [], []]);
  });

  it('reads a page whose bytes were not UTF-8 with care, even where no entry was hurt', () =>
    expect(readCarefully(readPage(body([plain('a')]), false))).toMatchObject([{ defects: [] }]));

  it.each([
    ['{"cursor":"c"}', 'c'],
    ['{"cursors":{"after":"c"}}', 'c'],
    ['{"cursor":"c","cursors":{"after":"other"}}', 'c'],
    ['{"cursor":"","cursors":{"after":"c"}}', 'c'],
    ['{"cursor":null,"cursors":{"after":"c"}}', 'c'],
    ['{"cursor":"a=_-%\\u0041"}', 'a=_-%A'],
    ['{"cursor":"c","count":"25"}', 'c'],
    ['{"cursor":"c","count":25,"unknown":[1]}', 'c'],
    ['{"cursor":""}', undefined],
    ['{"cursor":null}', undefined],
    ['{"cursors":{"after":""}}', undefined],
    ['{"cursors":null,"count":null}', undefined],
    ['{"count":1}', undefined],
    ['{}', undefined],
    ['null', undefined],
    ['', undefined],
  ])('reads the cursor of result_info %s as %s', (info, cursor) =>
    expect(readPage(body([plain('a')], info)).nextCursor).toBe(cursor),
  );

  it.each([
    '{"success":true,"result":null,"result_info":{"count":0}}',
    '{"success":true,"result_info":{"count":"0"}}',
    '{"success":true,"result":[]}',
    '{"success":true,"errors":[],"result":[]}',
  ])('%s is an empty page', (text) => {
    expect({ ...readPage(text), count: undefined }).toEqual({ ...emptyPage, count: undefined });
    expect(readCarefully(readPage(text))).toEqual([]);
  });

  it('tells pages apart by how many entries they have, the first and the last', () => {
    const of = (...ids: string[]) => bodyOf(body(ids.map((id) => plain(id))));
    expect(readPageBody(of('a', 'b', 'c')).fingerprint).toBe('3 a c');
    expect(readPage(body([plain('a'), plain('b')])).fingerprint).toBe('2 a b');
    expect(readPageBody(of()).fingerprint).toBeUndefined();
    const nameless = (n: number) => body([`{"n":${n},"text":"${'x'.repeat(2_000)}"}`]);
    expect(readPage(nameless(1)).fingerprint, 'without an id, by their texts').toBe(readPage(nameless(1)).fingerprint);
    expect(readPage(nameless(1)).fingerprint).not.toBe(readPage(nameless(2)).fingerprint);
    expect(readPage(nameless(1)).fingerprint?.length).toBeLessThan(1_100);
  });

  it.each([
    ['"success":true,"errors":[{"code":7}]', 'names an error'],
    ['"success":true,"errors":"upstream timed out"', 'names an error'],
    ['"success":true,"errors":{"code":7003}', 'names an error'],
    ['"success":true,"errors":7', 'names an error'],
    ['"success":true,"error":"Authentication error"', 'names an error'],
    ['"success":"true"', 'says success: true'],
    ['"success":null', 'says success: null'],
    ['"code":10000', 'has no success: true'],
  ])('an answer with %s brings its entries, and is not believed; without any it cannot be read', (envelope, fault) => {
    const text = `{${envelope},"result":[${plain('a')}]}`;
    for (const page of [readPage(text), readPageBody(bodyOf(text))]) {
      expect([page.entries, page.fault?.includes(fault)]).toEqual([1, true]);
    }
    const empty = `{${envelope},"result":[]}`;
    expect(() => readPage(empty)).toThrow(UnreadablePageError);
    expect(() => readPageBody(bodyOf(empty))).toThrow(UnreadablePageError);
  });

  it.each(['[]', '{}', '""', 'null'])('errors that are %s are none', (errors) => {
    const text = `{"success":true,"errors":${errors},"error":null,"messages":${errors},"result":[${plain('a')}]}`;
    expect([readPage(text), readPageBody(bodyOf(text))].map((page) => [page.fault, page.isPartial])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it('notes messages that may speak of a part or a limit', () => {
    const isPartial = (messages: unknown) =>
      readPage(JSON.stringify({ success: true, messages, result: [] })).isPartial === true;
    for (const said of ['shard 3 is away', 'time-out', 'limit reached', 'degraded'])
      expect([isPartial([{ message: said }]), isPartial([said]), isPartial(said)], said).toEqual([true, true, true]);
    expect(isPartial(['ok'])).toBe(false);
  });

  it.each([
    ['a message', { messages: [{ message: 'partial result: shard 3 of 3 timed out' }] }],
    ['a message of its own', { message: 'some results are not available' }],
    ['a flag', { result_info: { count: 1, partial: true } }],
    ['a warning', { warnings: ['The list was truncated.'] }],
    ['errors where the count is', { result_info: { count: 1, errors: [{ code: 7000 }] } }],
  ])('does not believe an answer that says that it is a part: %s', (_, more) => {
    const body = (result: string) =>
      `${JSON.stringify({ success: true, errors: [], ...more }).slice(0, -1)},"result":[${result}]}`;
    const entry = plain('a');
    expect([readPage(body(entry)), readPageBody(bodyOf(body(entry)))].map(({ fault }) => fault)).toEqual([
      expect.stringMatching(/part|error/),
      expect.stringMatching(/part|error/),
    ]);
    expect(() => readPage(body(''))).toThrow();
  });

  it('does not take a cursor for words', () => {
    const info = { cursor: 'partial', cursors: { after: 'truncated' }, partial: false };
    expect(readPage(JSON.stringify({ success: true, result: [], result_info: info })).fault).toBeUndefined();
  });

  it('follows the cursor of a page without a result that says it has no entries', () =>
    expect(readPage('{"success":true,"result":null,"result_info":{"count":0,"cursor":"c"}}')).toMatchObject({
      entries: 0,
      nextCursor: 'c',
    }));

  it.each([
    ['{"count":1}', 1],
    ['{"count":"1"}', 1],
    ['{"count":0}', 0],
    ['{"count":"many"}', undefined],
    ['{"count":""}', undefined],
    ['{"count":null}', undefined],
    ['{}', undefined],
    ['null', undefined],
  ])('reads the count of result_info %s as %s', (info, count) => {
    expect(readPage(body([plain('a')], info)).count).toBe(count);
    expect(readPageBody(bodyOf(body([plain('a')], info))).count).toBe(count);
  });

  it('takes errors beside entries for remarks', () =>
    expect(readPage(`{"errors":[{"message":"sample"}],"result":[${plain('a')}]}`).entries).toBe(1));

  it.each([
    ['errors and no entries', '{"success":true,"errors":[{"message":"sample"}],"result":[]}'],
    ['nothing', ''],
    ['HTML', '<!doctype html><title>502</title>'],
    ['half of a body', body([plain('a')]).slice(0, -20)],
    ['two bodies', '{"result":[]}{"result":[]}'],
    ['an array', '[{"result":[]}]'],
    ['a text', '"result"'],
    ['null', 'null'],
    ['success: false', '{"success":false,"result":[],"errors":[{"code":1}]}'],
    ['success that is not a boolean', '{"success":"true","result":[]}'],
    ['no result', '{"success":true}'],
    ['no result but a count', '{"success":true,"result_info":{"count":3}}'],
    ['no result and an empty count', '{"success":true,"result_info":{"count":""}}'],
    ['no result and a blank count', '{"success":true,"result_info":{"count":" "}}'],
    ['null for a result', '{"success":true,"result":null}'],
    ['an object for a result', '{"result":{"0":1}}'],
    ['a text for a result', '{"result":"[]"}'],
    ['a result that is overwritten', '{"result":[1],"result":null}'],
    ['two results', `{"success":true,"result":[${plain('a')}],"result":[${plain('b')}]}`],
    ['two results, one written otherwise', '{"success":true,"result":[1],"r\\u0065sult":[2]}'],
    ['a result of the prototype', '{"__proto__":{"result":[1]}}'],
    ['a cursor that is a number', '{"result":[],"result_info":{"cursor":7}}'],
    ['a cursor that is an object', '{"result":[],"result_info":{"cursor":{}}}'],
    ['cursors that are a list', '{"result":[],"result_info":{"cursors":["c"]}}'],
    ['result_info that is a list', '{"result":[],"result_info":[]}'],
  ])('throws for %s', (_, text) => {
    expect(() => readPage(text)).toThrow(UnreadablePageError);
    expect(() => readPageBody(bodyOf(text))).toThrow(UnreadablePageError);
  });

  it('throws only UnreadablePageError, and shows no more than a little of the body', () => {
    const envelope = fc.record(
      { success: fc.jsonValue(), result: fc.jsonValue(), result_info: fc.jsonValue() },
      { requiredKeys: [] },
    );
    const text = fc.oneof(
      envelope.map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.tuple(envelope, fc.nat()).map(([value, end]) => JSON.stringify(value).slice(0, end)),
    );
    forAll([text], 500, (any) => {
      try {
        readPage(any);
      } catch (error) {
        expect(error).toBeInstanceOf(UnreadablePageError);
        expect((error as Error).message.length).toBeLessThan(500);
      }
    });
  });
});

test('entries are told apart by their ids, or else by their texts', () => {
  const page = readPage(body([plain('a'), plain('b'), plain('a'), '{"no":"id"}', '{"no":"id"}', '7']));
  expect(idsOf(page)).toEqual(new Set(['a', 'b', '{"no":"id"}', '7']));
});

test('the ids of a page are the same on either path', () => {
  const text = body([plain('a'), plain('é'), plain('a'), plain('b')]);
  expect(readPageBody(bodyOf(text)).kind).toBe('columns');
  expect(idsOf(readPageBody(bodyOf(text)))).toEqual(new Set(['a', 'é', 'b']));
  expect(idsOf(readPageBody(bodyOf(text), { fastPath: false }))).toEqual(new Set(['a', 'é', 'b']));
});

const pageOf = (elements: readonly string[], options = {}) => readPageBody(bodyOf(body(elements)), options);
const earlier = pageOf([plain('a'), plain('b'), plain('c')]);

test.each<[string, boolean, Page, Page?]>([
  ['each of its entries is there to the byte, in whichever order', true, pageOf([plain('c'), plain('b'), plain('a')])],
  ['it is a part of that', true, pageOf([plain('b')])],
  ['an entry is new', false, pageOf([plain('a'), plain('d')])],
  ['an entry has another content', false, pageOf([plain('a'), plain('b', '2026-10-01T12:00:01Z')])],
  ['an entry has another form', false, pageOf([plain('a').replace(',', ', ')])],
  ['it is not read from its bytes', false, pageOf([plain('a')], { fastPath: false })],
  ['the earlier is not read from its bytes', false, pageOf([plain('a')]), pageOf([plain('a')], { fastPath: false })],
])('a page repeats an earlier one if %s: %s', (_, isOne, page, before = earlier) =>
  expect(isRepetition(page, before)).toBe(isOne),
);
