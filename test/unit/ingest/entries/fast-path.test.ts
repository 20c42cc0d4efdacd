import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Page, readPage, readPageBody, UnreadablePageError } from '../../../../src/ingest/entries/page.ts';
import { readPlainPage } from '../../../../src/ingest/entries/plain-page.ts';
import { entryText, pageBody } from '../../../support/postgres/store-fixture.ts';
import { forAll } from '../../for-all.ts';

const T = Date.UTC(2026, 9, 1, 12);

// biome-ignore format: a table
const common = [
  '{}', '[]', '"x"', '200', '-0', '"é😀"', '"\\u00e9\\/\\n"', 'null', 'true', '{"a" : [{ "b" : { } }] }', '""', '"7"',
];
/** JSON, but not what every part of PostgreSQL takes, or not the same to every reader. */
const odd = [
  '0.5',
  '1e5',
  '1e99999',
  '"\\u0000"',
  '"\\ud83d"',
  '"\\ude00"',
  '"\\ud83d\\ude00"',
  '"\\ud83d\\u0020"',
  '"sha256:"',
  `${'['.repeat(200)}${']'.repeat(200)}`,
];
// biome-ignore format: a table
const broken = [
  '01', '-', '1.', '.5', '1e', '+1', 'nul', "'a'", '"\t"', '"\\x"', '"\\u12"', '{"a":1,}', '[1,]', '[,]', '[1 2]', '\ufeff', '{"a"}', '"',
  '{"a":1 "b":2}', '{1:2}',
];
const value = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(...common) },
  { weight: 2, arbitrary: fc.constantFrom(...odd) },
  { weight: 1, arbitrary: fc.constantFrom(...broken) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)) },
);
const time = fc.constantFrom('"2026-10-01T12:00:00Z"', '"2026-10-01T12:00:00.5Z"', '"2026-10-02t12:00:00+02:00"');
const keys = ['type', 'id', 'status_code', 'cf_rayid', 'cf_ray_id', 'scope', 'times'] as const;
/** Of `action` and its like, some of them twice. */
const part = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.constantFrom<string>(...keys), value) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('time'), time) },
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom('time', 't\\u0069me'), value) },
    ),
    { maxLength: 4 },
  )
  .map((inner) => `{${inner.map(([key, text]) => `"${key}":${text}`).join(',')}}`);

/** Members of an entry, in any order, now and then one twice. */
const members = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom('actor', 'raw', 'resource', 'more', 'a b', '') },
      { weight: 1, arbitrary: fc.constantFrom('id', 'action', 'i\\u0064') },
    ),
    fc.oneof({ weight: 2, arbitrary: part }, { weight: 1, arbitrary: value }),
  ),
  { maxLength: 3 },
);

const anyMembers = fc.array(fc.tuple(fc.constantFrom('id', 'action', 'actor', 'raw', 'more'), fc.oneof(part, value)), {
  maxLength: 4,
});

const textOf = (all: readonly (readonly [string, string])[]): string =>
  all.map(([key, text]) => `"${key}":${text}`).join(' , ');

const entries = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 9 }).map((id) => entryText(`${id}`, T)) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(members, fc.array(time, { minLength: 1, maxLength: 2 }), members)
      .map(
        ([before, times, after]) =>
          `{${textOf([...before, ['id', '"a"'], ['action', `{${textOf(times.map((text) => ['time', text]))}}`], ...after])}}`,
      ),
  },
  { weight: 1, arbitrary: anyMembers.map((all) => `{${textOf(all)}}`) },
  { weight: 1, arbitrary: value },
);

const bodies = fc
  .tuple(
    fc.array(entries, { maxLength: 3 }),
    fc.constantFrom(
      '',
      ',"result_info":{"cursor":"next"}',
      ',"result_info":{"count":"0"}',
      ',"result":[]',
      ',"res\\u0075lt":[1]',
      ',"success":false',
      ',"result_info":7',
    ),
    fc.constantFrom('', ' ', '}', '\n\t', ','),
  )
  .map(([all, more, end]) => `{"errors":[],"result" : [${all.join(', ')}]${more}}${end}`);

/** Some characters taken out, doubled, or put elsewhere. */
const damaged = fc
  .tuple(
    bodies,
    fc.array(
      fc.tuple(
        fc.nat(),
        fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', '\\', '0', 'e', ' ', '\u0001', '-', '.'),
      ),
      { maxLength: 2 },
    ),
  )
  .map(([text, changes]) =>
    changes.reduce((changed, [at, character]) => {
      const index = at % (changed.length + 1);
      return changed.slice(0, index) + character + changed.slice(index + 1);
    }, text),
  )
  // What stands between the halves of a character makes no bytes of its own.
  .map((text) => text.toWellFormed());

test.each([
  ['as it was sent', bodies, 600],
  ['damaged', damaged, 1_000],
] as const)('a page read from its bytes %s is what the careful reader makes of its text', (_, texts, numRuns) => {
  let fromBytes = 0;
  forAll([texts], { seed: SEED, numRuns }, (text) => {
    if (isPlain(text)) fromBytes += 1;
    expect(factsOf(() => readPageBody(pageBody(text)))).toEqual(factsOf(() => readPage(text)));
  });
  expect(fromBytes, 'were plain').toBeGreaterThan(numRuns / 20);
});

test('a page read from its bytes is one whatever Cloudflare may send that is in order', () => {
  for (const entry of [
    entryText('a', T),
    entryText('a', T, { actor: { email: '"\\/\b\f\n\r\té😀' }, raw: { status_code: '200', cf_rayid: 'r' } }),
    entryText('a', T, { resource: { scope: { a: [true, null] }, request: { n: -1.5e-7 } } }),
    entryText('a', T).replace('create', '\\u003c\\ud83d\\ude00\\u003E'),
    entryText('a', T).replace('.000Z', '+02:00'),
    JSON.stringify(JSON.parse(entryText('a', T)), undefined, 2),
  ]) {
    expect(isPlain(bodyOf(entry)), entry).toBe(true);
  }
  expect(isPlain('{"result":[]}')).toBe(true);
});

test('a page read from its bytes is none where an id is not what an id may be', () => {
  for (const id of [`sha256:${'0'.repeat(64)}`, 'x'.repeat(513), '']) {
    expect(isPlain(bodyOf(entryText(id, T))), id).toBe(false);
  }
  expect(isPlain(bodyOf(entryText('x'.repeat(512), T)))).toBe(true);
});

test('a page read from its bytes keeps no text, and decodes the array when it is asked for', () => {
  const page = readPageBody({ ...pageBody(bodyOf(entryText('é', T))), text: 'not to be read' });
  expect(page.entriesText).toBe(`[${entryText('é', T)}]`);
  expect(page.nextCursor).toBe('c');
  page.release?.();
  expect(() => page.entriesText).toThrow('given back');
});

const SEED = 20_261_125;
const isPlain = (text: string): boolean => readPlainPage(Buffer.from(text)) !== undefined;
const bodyOf = (entry: string): string => `{"success":true,"result":[${entry}],"result_info":{"cursor":"c"}}`;

/** What of a page does not depend on how it was read. */
const factsOf = (read: () => Page): unknown => {
  try {
    const page = read();
    const { entries: count, timesMs, nextCursor, entriesText } = page;
    const care = page.kind === 'careful' && { validUtf8: page.validUtf8 };
    return { count, timesMs, nextCursor, entriesText, care };
  } catch (error) {
    if (error instanceof UnreadablePageError) return error.message;
    throw error;
  }
};
