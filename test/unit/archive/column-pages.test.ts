import { expect, test } from 'vitest';
import { pagesOf } from '../../../src/archive/parquet/column-pages.ts';

/** A page of two values, not compressed, whose header has a text in its inner struct. */
const page = (text: string, content: string): Buffer => {
  const [length, size] = [Buffer.byteLength(text), 2 * content.length];
  const inner = [0x15, 4, 0x15, 0, 0x18, length, ...Buffer.from(text), 0];
  return Buffer.from([0x15, 0, 0x15, size, 0x15, size, 0x2c, ...inner, 0, ...Buffer.from(content)]);
};

test('a text in the header of a page is passed over', () => {
  const pages = pagesOf(Buffer.concat([page('least', 'abc'), page('', 'defg')]), 'UNCOMPRESSED');
  expect(pages?.map(({ values, content }) => [values, content().toString()])).toEqual([
    [2, 'abc'],
    [2, 'defg'],
  ]);
});
