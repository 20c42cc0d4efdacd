import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnSource, type Defect, MAX_ID_LENGTH, toJsonbText } from '../../../../src/ingest/entries/entry.ts';
import { isOddNumber } from '../../../../src/ingest/entries/json-bytes.ts';
import {
  type CarefulEntry,
  type Page,
  readCarefully,
  readPage,
  refusedByDatabase,
} from '../../../../src/ingest/entries/page.ts';
import { forAll } from '../../for-all.ts';

const TIME = '"action":{"time":"2026-10-01T12:00:00Z"}';
const withField = (text: string): string => `{"id":"a",${TIME},${text}}`;
const withId = (id: string): string => `{"id":${id},${TIME}}`;
const withTime = (time: string): string => `{"id":"a","action":{"time":${time}}}`;
const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

/** Elements that have this one defect and no other. The others are no matter of the text alone. */
const examples: Record<
  Exclude<Defect, 'invalid_utf8' | 'refused_by_database' | 'column_too_long'>,
  readonly string[]
> = {
  not_an_object: ['1', '"text"', 'null', 'true', '[]', '[{"id":"a"}]'],
  id_missing: [`{${TIME}}`, withId('null')],
  id_unusable: [withId('""'), withId('7'), withId('{}'), withId('[]'), withId('false')],
  id_too_long: [withId(`"${'x'.repeat(MAX_ID_LENGTH + 1)}"`)],
  time_missing: ['{"id":"a"}', '{"id":"a","action":null}', '{"id":"a","action":"x"}', withTime('null')],
  time_unreadable: ['"now"', '"infinity"', '""', '1790856000', '{}', '"2024-02-30T00:00:00Z"'].map(withTime),
  nul_character: [withField('"x":"\\u0000"'), withField('"\\u0000":1'), withField('"x":"\\\\\\u0000"')],
  // biome-ignore format: a table
  lone_surrogate: [
    '\\ud83d', '\\ude00', '\\ude00\\ud83d', '\\ud83d\\n\\ude00', '\\uD83Dx\\uDE00', '\\ud83d\\ud83d\\ude00',
  ].map((text) => withField(`"x":"${text}"`)),
  number_out_of_range: ['1e200000', '-1e-200000', '9'.repeat(1_001)].map((number) => withField(`"x":[${number}]`)),
  nested_too_deeply: [withField(`"x":${nested(5_000)}`), withField(`"x":${nested(100_000)}`)],
};

describe('defects of an entry', () => {
  for (const [defect, elements] of Object.entries(examples)) {
    it(`${defect} is found, and nothing else`, () => {
      for (const element of elements) {
        expect(pageOf(element).kind).toBe('careful');
        expect(readCarefully(pageOf(element))).toMatchObject([{ text: element, defects: [defect] }]);
      }
    });
  }

  it('invalid_utf8 is found in the entry that the replacement character is in', () => {
    const page = readPage(`{"result":[${withField('"x":"\ufffd"')},${withId('"b"')}]}`, false);
    expect(readCarefully(page).map(({ defects }) => defects)).toEqual([['invalid_utf8'], []]);
    expect(pageOf(withField('"x":"\ufffd"')).kind).toBe('json');
  });

  it('refused_by_database is added to what was found before', () => {
    const entry = entryOf('{"actor":{"email":"a@example.com","more":[1]}}');
    expect(refusedByDatabase(entry)).toEqual({
      ...entry,
      defects: ['id_missing', 'time_missing', 'refused_by_database'],
      columnSource: '{"actor":{"email":"a@example.com","more":null}}',
    });
  });

  it('several are found together', () => {
    const element = `{"id":"\\u0000","x":"\\ud800","y":1e200000,"z":${nested(6_000)}}`;
    // biome-ignore format: a table
    expect(entryOf(element).defects.toSorted()).toEqual([
      'id_unusable', 'lone_surrogate', 'nested_too_deeply', 'nul_character', 'number_out_of_range', 'time_missing',
    ]);
    expect(entryOf('["\\u0000",1e200000]').defects).toEqual(['not_an_object', 'nul_character', 'number_out_of_range']);
  });

  it.each([
    ['a whole surrogate pair', withField('"x":"\\ud83d\\uDE00"')],
    ['a raw character outside the basic plane', withField('"x":"😀"')],
    ['an escaped backslash before u0000', withField('"x":"\\\\u0000"')],
    ['an escaped backslash before ud83d', withField('"x":"\\\\ud83d"')],
    ['the longest id', withId(`"${'x'.repeat(MAX_ID_LENGTH)}"`)],
    ['a number that JSON.parse rounds', withField('"x":12345678901234567890')],
    ['a huge number inside a string', withField('"x":"1e200000"')],
    ['deep but not too deep', withField(`"x":${nested(4_999)}`)],
    ['duplicate keys: the last one counts', `{"id":7,"id":"a",${TIME}}`],
    ['a key of the prototype', withField('"__proto__":{"id":7},"constructor":1')],
  ])('has none: %s', (_, element) => {
    expect(pageOf(element).kind).toBe('json');
    expect(entryOf(element)).toMatchObject({
      id: expect.any(String),
      defects: [],
      text: element,
      columnSource: element,
    });
  });

  it('keeps what it could read beside a defect', () => {
    expect(entryOf(`{"id":"a","action":{"time":"soon"}}`)).toMatchObject({ id: 'a', actionTime: undefined });
    expect(entryOf(`{${TIME}}`)).toMatchObject({ id: undefined, actionTime: '2026-10-01T12:00:00Z' });
    expect(entryOf(withId(`"${'x'.repeat(600)}"`)).id).toHaveLength(600);
  });
});

// biome-ignore format: a table
const stringPieces = [
  'a', '\\"', '\\\\', '\\n', 'u0000', '\\u0000', '\\ud83d', '\\ude00', '\\uD800', '😀', '{', '[', '1e200000',
];
const stringText = fc.array(fc.constantFrom(...stringPieces), { maxLength: 6 }).map((all) => `"${all.join('')}"`);
const objectText = (scalar: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.letrec<{ object: string; value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }).map((all) => `[ ${all.join(' ,')}]`),
      tie('object'),
    ),
    object: fc
      .array(fc.tuple(fc.oneof(stringText, fc.constantFrom('"id"', '"action"', '"actor"')), tie('value')), {
        maxLength: 4,
      })
      .map((all) => `{${all.map((pair) => pair.join(' : ')).join('\n,')}}`),
  })).object;

const plainScalar = fc.oneof(stringText, fc.constantFrom('1', '-1.5e3', 'true', 'null', '12345678901234567890'));
const anyScalar = fc.oneof(plainScalar, fc.constantFrom('1e200000', '-1e-200000', '9'.repeat(1_001), nested(5_001)));

const asPostgresTakesIt = (value: unknown): unknown => {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\0', '\ufffd');
  if (Array.isArray(value)) return value.map(asPostgresTakesIt);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map((pair) => pair.map(asPostgresTakesIt) as [string, unknown]));
};

it('columnSource is JSON without NUL, lone surrogates, odd numbers or deep nesting, for any entry', () =>
  forAll([fc.oneof(objectText(anyScalar), anyScalar)], 300, (element) => {
    const source = entryOf(element).columnSource;
    const parsed: unknown = JSON.parse(source);
    expect(asPostgresTakesIt(parsed)).toEqual(parsed);
    expect(source.isWellFormed()).toBe(true);
    const numbers = source.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? [];
    expect(numbers.filter(isOddNumber)).toEqual([]);
    expect(source).not.toContain('['.repeat(5_001));
  }));

it('columnSource changes nothing but what PostgreSQL cannot hold', () =>
  forAll([objectText(plainScalar)], 300, (element) => {
    const { columnSource: source, defects } = entryOf(element);
    expect(JSON.parse(source)).toEqual(asPostgresTakesIt(JSON.parse(element)));
    if (!defects.includes('nul_character') && !defects.includes('lone_surrogate')) expect(source).toBe(element);
  }));

it('columnSource makes a number out of range a text of its own digits', () =>
  expect(entryOf(withField('"x":[1e200000, 2,-1e-99999],"y":"1e200000"')).columnSource).toBe(
    withField('"x":["1e200000", 2,"-1e-99999"],"y":"1e200000"'),
  ));

it('columnSource leaves out what is nested too deeply, and keeps the columns', () => {
  const element = `{"id":"a\\ud800","action":{"time":"t","x":{"y":1}},"resource":{"scope":${nested(6_000)},"n":1e400}}`;
  expect(columnSource(JSON.parse(element), element, ['nested_too_deeply'])).toBe(
    '{"id":"a\\ufffd","action":{"time":"t","x":null},"resource":{"scope":null,"n":null}}',
  );
});

it('toJsonbText gives JSON that jsonb takes', () => {
  expect(toJsonbText({ a: '\0\ud800😀', b: [1e300] })).toBe('{"a":"\\ufffd\\ufffd😀","b":[1e+300]}');
  expect(toJsonbText(undefined)).toBe('null');
});

const pageOf = (element: string, validUtf8 = true): Page => readPage(`{"result":[${element}]}`, validUtf8);
const entryOf = (element: string): CarefulEntry => readCarefully(pageOf(element))[0] as CarefulEntry;
