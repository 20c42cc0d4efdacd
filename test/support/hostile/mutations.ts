import fc from 'fast-check';

/** What happens to the bytes of a body. Places are parts of its length, so that they fit bodies of any. */
type Mutation = (body: Buffer) => Buffer;

const spliced = [
  '"',
  '\\',
  ',',
  ':',
  '{',
  '}',
  '[',
  ']',
  '[]',
  '{}',
  'null',
  'true',
  '0',
  '-',
  '1e999',
  '\n',
  '\0',
  '\ufeff',
  '"result":[],',
  '"result":null,',
  '"success":false,',
  '"success":true,',
  '"result_info":null,',
  '"errors":[1],',
  '{"id":"spliced","action":{"time":"now"}},',
  '\\u0000',
  '\\ud800',
  '"__proto__":{"result":[1]},',
  '/* */',
  'NaN,',
].map((text) => Buffer.from(text));
const values = [
  'null',
  '',
  '"page-1"',
  '0',
  '-0',
  '1e400',
  'true',
  '[]',
  '{}',
  '[{}]',
  '"now"',
  '"\\u0000"',
  '"\\udc00"',
];
const bytes = [
  0x00, 0x09, 0x1f, 0x20, 0x22, 0x2c, 0x30, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xc0, 0xed, 0xff,
];

/** Without bias: fast-check prefers the ends, where every body breaks. */
const place = fc.noBias(fc.integer({ min: 0, max: 999_999 })).map((millionths) => millionths / 1_000_000);
const at = (body: Buffer, where: number): number => Math.floor(where * body.length);

const flip = fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(
  ([where, bit]): Mutation =>
    (body) => {
      const copy = Buffer.from(body);
      const index = at(body, where);
      if (index < copy.length) copy[index] = (copy[index] ?? 0) ^ (1 << bit);
      return copy;
    },
);
const replace = fc.tuple(place, fc.constantFrom(...bytes)).map(
  ([where, byte]): Mutation =>
    (body) => {
      const copy = Buffer.from(body);
      copy[at(body, where)] = byte;
      return copy;
    },
);
const remove = fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(
  ([where, length]): Mutation =>
    (body) => {
      const index = at(body, where);
      return Buffer.concat([body.subarray(0, index), body.subarray(index + length)]);
    },
);
const repeat = fc.tuple(place, fc.integer({ min: 1, max: 200 })).map(
  ([where, length]): Mutation =>
    (body) => {
      const index = at(body, where);
      return Buffer.concat([body.subarray(0, index + length), body.subarray(index)]);
    },
);
const splice = fc.tuple(place, fc.constantFrom(...spliced)).map(
  ([where, insert]): Mutation =>
    (body) => {
      const index = at(body, where);
      return Buffer.concat([body.subarray(0, index), insert, body.subarray(index)]);
    },
);
/** At a quote, a comma, a bracket: where it is likely to be JSON still. */
const spliceAtToken = fc.tuple(place, fc.constantFrom(...spliced)).map(
  ([where, insert]): Mutation =>
    (body) => {
      const index = body.indexOf(',', at(body, where)) + 1;
      return Buffer.concat([body.subarray(0, index), insert, body.subarray(index)]);
    },
);
/** Another value in place of one: mostly JSON still. */
const replaceValue = fc.tuple(place, fc.constantFrom(...values)).map(
  ([where, value]): Mutation =>
    (body) => {
      const text = body.toString('latin1');
      const found = [...text.matchAll(/(?<=[:,[]\s*)(?:"[^"\\]*(?:\\.[^"\\]*)*"|[-\w.+]+)(?=\s*[,\]}])/gs)];
      const token = found[Math.floor(where * found.length)];
      if (token === undefined) return body;
      return Buffer.from(text.slice(0, token.index) + value + text.slice(token.index + token[0].length), 'latin1');
    },
);
const swap = fc.tuple(place, place).map(
  ([one, other]): Mutation =>
    (body) => {
      const [first = 0, second = 0] = [at(body, one), at(body, other)].sort((a, b) => a - b);
      const middle = Math.floor((first + second) / 2);
      return Buffer.concat([
        body.subarray(0, first),
        body.subarray(middle, second),
        body.subarray(first, middle),
        body.subarray(second),
      ]);
    },
);
const truncate = place.map(
  (where): Mutation =>
    (body) =>
      body.subarray(0, at(body, where)),
);

export const anyMutation: fc.Arbitrary<Mutation> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: flip },
      { weight: 3, arbitrary: replace },
      { weight: 2, arbitrary: remove },
      { weight: 2, arbitrary: repeat },
      { weight: 2, arbitrary: splice },
      { weight: 4, arbitrary: spliceAtToken },
      { weight: 12, arbitrary: replaceValue },
      { weight: 1, arbitrary: swap },
      { weight: 1, arbitrary: truncate },
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((mutations) => (body) => mutations.reduce((mutated, mutation) => mutation(mutated), body));
