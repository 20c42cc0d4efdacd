import fc from 'fast-check';

/**
 * A JSON text, with what its author knows of it. Not made by a parser: it is what readers are held against. Only the value
 * of a string comes of JSON.parse.
 */
export interface Json {
  readonly text: string;
  /** Levels of nesting: 0 for a string or number. */
  readonly depth: number;
  readonly nul: boolean;
  readonly loneSurrogate: boolean;
  readonly oddNumber: boolean;
  /** Of a string. */
  readonly value?: string;
  /** Of an object, in order, duplicates included. */
  readonly members?: readonly Member[];
  /** What a time or a status code must be read as, where it is one. */
  readonly readAs?: number;
}

export interface Member {
  readonly key: Json;
  readonly value: Json;
}

const plain = { depth: 0, nul: false, loneSurrogate: false, oddNumber: false };

export const scalar = (text: string, readAs?: number): Json => ({
  ...plain,
  text,
  ...(readAs === undefined ? {} : { readAs }),
});

/** `text` with its quotes. */
export const string = (text: string, readAs?: number): Json => {
  const value = JSON.parse(text) as string;
  return { ...scalar(text, readAs), value, nul: value.includes('\0'), loneSurrogate: !value.isWellFormed() };
};

const flawsOf = (parts: readonly Json[]) => ({
  nul: parts.some((part) => part.nul),
  loneSurrogate: parts.some((part) => part.loneSurrogate),
  oddNumber: parts.some((part) => part.oddNumber),
  depth: 1 + parts.reduce((depth, part) => Math.max(depth, part.depth), 0),
});

/** `space` stands at every place where JSON allows white space. */
export const object = (members: readonly Member[], space = ''): Json => ({
  ...flawsOf(members.flatMap(({ key, value }) => [key, value])),
  text: `{${space}${members.map(({ key, value }) => `${key.text}${space}:${space}${value.text}`).join(`${space},`)}${space}}`,
  members,
});

const array = (items: readonly Json[], space = ''): Json => ({
  ...flawsOf(items),
  text: `[${space}${items.map((item) => item.text).join(`${space},${space}`)}${space}]`,
});

/** What a reader sees under a key: the last of several, however they are spelled. */
export const memberOf = (json: Json | undefined, key: string): Json | undefined =>
  json?.members?.findLast((member) => member.key.value === key)?.value;

const fragments = [
  '\\u0000',
  '\\ud83d\\ude00',
  '\\ud83d',
  '\\uDE00',
  '\\uD800\\uD800',
  '\\u0041',
  '\\u00e9',
  '\\uFFFF',
  '\\n',
  '\\"',
  '\\\\',
  '\\/',
  '\\\\u0000',
  '\\\\\\u0000',
  '\\\\\\"',
  '\\u005c',
  '\\u005cu0000',
  '\\u001b[31m',
  '😀',
  'é',
  'e\u0301',
  '\u2028',
  '\ufeff',
  '\ufffe',
  '\uffff',
  '\ufffd',
  '\u007f',
  '\u0080',
  '\u202e',
  '𝒳',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  "'",
  '$1',
  '--',
  '%s',
  '{{x}}',
  'null',
  'now',
  ' ',
  '"result":'.replaceAll('"', '\\"'),
];

const looseText = fc
  .array(fc.constantFrom('plain words', 'someone@example.com', '0', 'x', ...fragments), { maxLength: 6 })
  .map((parts) => parts.join(''));

export const anyString = looseText.map((text) => string(`"${text}"`));

const longString = fc
  .tuple(fc.constantFrom(...fragments), fc.constantFrom(10, 1_000, 20_000))
  .map(([fragment, times]) => string(`"${fragment.repeat(times)}"`));

const numbers: readonly (readonly [text: string, odd: boolean])[] = [
  ...['0', '-0', '-0.0', '0.1e+1', '1E-9999', '1e400', '-1e-400', '1e9999', '5e-324', '1.7976931348623157e309'].map(
    (text) => [text, false] as const,
  ),
  ...['12345678901234567890', '-9223372036854775809', '0.10', '1e0000000005', '9007199254740993', '1E+2'].map(
    (text) => [text, false] as const,
  ),
  ['9'.repeat(1_000), false],
  [`0.${'0'.repeat(900)}1`, false],
  ['9'.repeat(1_001), true],
  [`0.${'0'.repeat(20_000)}1`, true],
  ...['1e10001', '1e200000', '-1E-200000', '1E-16384', '0e99999999999999999999', '1e+99999999999999999999'].map(
    (text) => [text, true] as const,
  ),
];

const anyNumber = fc.oneof(
  fc.constantFrom(...numbers).map(([text, oddNumber]) => ({ ...scalar(text), oddNumber })),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => scalar(JSON.stringify(number))),
);

/** Numbers; jsonb takes all but a few of them. */
const literal = fc.constantFrom(scalar('true'), scalar('false'), scalar('null'), array([]), object([]), array([], ' '));

/** Around the 5,000 levels of the entry itself from which on it is kept as text, and far beyond. */
const nesting = fc
  .tuple(fc.constantFrom(2, 50, 1_000, 4_990, 5_003, 10_001, 12_000), fc.constantFrom('[', '{"a":', '[{"":'))
  .map(([times, open]): Json => {
    const close = open === '[' ? ']' : open === '{"a":' ? '}' : '}]';
    const text = `${open.repeat(times)}0${close.repeat(times)}`;
    return { ...plain, text, depth: times * close.length, ...(open.startsWith('{') ? { members: [] } : {}) };
  });

export const whiteSpace = fc.constantFrom('', '', '', ' ', '\n', '\r\n\t ', '\t');

const names = ['id', 'action', 'time', 'type', 'result', '__proto__', 'constructor', 'toString', 'hasOwnProperty', ''];
const anyKey = fc.oneof(
  fc.constantFrom(...names).map((name) => string(JSON.stringify(name))),
  fc
    .constantFrom('"i\\u0064\\u0000"', '"ID"', '"id "', '"\\ud800"', `"${'k'.repeat(5_000)}"`)
    .map((text) => string(text)),
  anyString,
);

const leaf = fc.oneof(
  { weight: 6, arbitrary: anyString },
  { weight: 3, arbitrary: anyNumber },
  { weight: 2, arbitrary: literal },
);

const container = fc.oneof(
  fc.tuple(fc.array(leaf, { maxLength: 4 }), whiteSpace).map(([items, space]) => array(items, space)),
  fc
    .tuple(fc.array(fc.record({ key: anyKey, value: leaf }), { maxLength: 4 }), whiteSpace)
    .map(([members, space]) => object(members, space)),
);

/** Any JSON text: every oddity that the grammar allows, deep, long and strange ones included. */
export const anyJson: fc.Arbitrary<Json> = fc.oneof(
  { weight: 240, arbitrary: leaf },
  { weight: 120, arbitrary: container },
  { weight: 8, arbitrary: fc.array(container, { maxLength: 3 }).map((items) => array(items)) },
  { weight: 1, arbitrary: longString },
  { weight: 1, arbitrary: nesting },
);

export const anyMember: fc.Arbitrary<Member> = fc.record({ key: anyKey, value: anyJson });
