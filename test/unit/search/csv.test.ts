import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvRecord } from '../../../src/search/export/csv.ts';

/** The records of RFC 4180, by its grammar. */
const readCsv = (text: string): string[][] => {
  const records: string[][] = [];
  let record: string[] = [];
  let at = 0;
  while (at < text.length) {
    const cell = /"((?:[^"]|"")*)"|[^",\r\n]*/y;
    cell.lastIndex = at;
    const match = cell.exec(text) as RegExpExecArray;
    record.push(match[1] === undefined ? match[0] : match[1].replaceAll('""', '"'));
    at += match[0].length;
    if (text[at] === ',') at += 1;
    else if (text.startsWith('\r\n', at)) {
      records.push(record);
      record = [];
      at += 2;
    } else throw new Error(`no end of a cell at ${at}`);
  }
  return records;
};

describe('CSV', () => {
  it('is read by the grammar of RFC 4180 as what was written, but for an apostrophe', () => {
    const cells = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a"b', 'a,b', 'x\r\ny', '"', '')), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(cells, (texts) => {
        const [record, ...more] = readCsv(csvRecord(texts));
        expect(more).toEqual([]);
        expect(record?.map((cell, n) => (cell === texts[n] ? cell : cell.replace(/^'/, '')))).toEqual(texts);
      }),
    );
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '\uff1d1', '\uff0d1', '\u00a0@x'])(
    'a spreadsheet takes %j for text',
    (cell) => {
      expect(csvRecord([cell])).toBe(`"'${cell}"\r\n`);
    },
  );

  it('numbers, truth and nothing have no quotes', () => {
    expect(csvRecord([-1, null, true, 'a'])).toBe('-1,,true,"a"\r\n');
  });
});
