import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NULL, type PageRows, PLACES, place, REPLACED } from '../../../src/ingest/entries/entry-columns.ts';
import { integerArray, sizeOfArray, writeArray } from '../../../src/ingest/sync/commit/binary-array.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

const database = databaseOfTests({ empty: true });

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.constantFrom('', '\x80', 'é', '\ufffd', '😀', '\\"', 'x'.repeat(127), 'x'.repeat(128), 'ä'.repeat(5_000)),
);
// Neither a NUL nor half a character reaches PostgreSQL's text: such entries are defective.
const plainTexts = texts.filter((text) => !text.includes('\0') && text.isWellFormed());

test('text arrays arrive as they were, nulls and every character included', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(plainTexts), { maxLength: 30 }), async (values) => {
      expect(await read('text[]', arrayOf(values, 'text'))).toEqual(values);
    }),
    { seed: SEED, numRuns: 200 },
  );
});

test('integer arrays arrive as they were', async () => {
  const integers = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(integers), { maxLength: 30 }), async (values) => {
      expect(await read('integer[]', integerArray(values))).toEqual(values);
    }),
    { seed: SEED, numRuns: 100 },
  );
});

test('json arrays keep every text to the byte', async () => {
  const json = fc.jsonValue().map((value) => ` ${JSON.stringify(value, undefined, 1)}`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        json.filter((text) => text.isWellFormed()),
        { maxLength: 20 },
      ),
      async (values) => {
        const { rows } = await database.pool.query('select array(select unnest($1::json[])::text) as texts', [
          arrayOf(values, 'json'),
        ]);
        expect(rows[0].texts).toEqual(values);
      },
    ),
    { seed: SEED, numRuns: 100 },
  );
});

const SEED = 20_261_125;

/** What PostgreSQL makes of a parameter, as JSON, which loses nothing of the values. */
const read = async (type: string, parameter: Buffer): Promise<unknown> => {
  const { rows } = await database.pool.query(`select to_json($1::${type}) as value`, [parameter]);
  return rows[0].value;
};

/** Rows with these texts in one place: every third stands apart, as what has escapes does. */
const rowsOf = (values: readonly (string | null)[]): PageRows => {
  const bytes = Buffer.from(values.join(''));
  const spans = new Int32Array(values.length * PLACES * 2).fill(NULL);
  const replaced = new Map<number, string>();
  let start = 0;
  for (const [row, value] of values.entries()) {
    const index = (row * PLACES + place.text) * 2;
    const end = start + Buffer.byteLength(value ?? '');
    if (value === null) continue;
    if (row % 3 === 2) {
      spans[index] = REPLACED;
      replaced.set(index, value);
    } else spans.set([start, end], index);
    start = end;
  }
  return { bytes, spans, replaced, firsts: values.map((_, index) => index + 1), statusCodes: values.map(() => null) };
};

const arrayOf = (values: readonly (string | null)[], type: 'text' | 'json'): Buffer => {
  const rows = rowsOf(values);
  const target = Buffer.alloc(sizeOfArray(rows, place.text));
  writeArray(rows, place.text, type, target);
  return target;
};
