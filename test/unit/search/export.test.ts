import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { MemoryFiles, writeZip, type ZipFile } from '../../../src/search/bundle/write-search-bundle.ts';
import { csvRecord } from '../../../src/search/event-csv.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { forAll } from '../for-all.ts';

const { folder } = temporaryFolder();

test('an archive is what another program unpacks: names, bytes, times, whatever the length', async () => {
  const contents = new Map([0, 1, 511, 512, 513, 70_000].map((length) => [`x/${length}`, Buffer.alloc(length, 'ä')]));
  const files = [...contents].map(([name, bytes]) => ({ name, pieces: [bytes.subarray(0, 3), bytes.subarray(3)] }));
  writeFileSync(join(folder, 'a.zip'), await zipped(files, Date.UTC(2026, 0, 31, 13, 5, 58, 500)));
  const script = `import zipfile
z = zipfile.ZipFile('a.zip')
assert z.testzip() is None
z.extractall()
for i in z.infolist(): print(i.filename, *i.date_time, oct(i.external_attr >> 16))`;
  const said = execFileSync('python3', ['-c', script], { cwd: folder, encoding: 'utf8' });
  const facts = '2026 1 31 13 5 58 0o100644';
  expect(said.trim().split('\n')).toEqual([...contents.keys()].map((name) => `${name} ${facts}`));
  for (const [name, bytes] of contents) expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true);
});

test('an archive has no end if a file breaks off', async () => {
  const broken = async function* () {
    yield Buffer.from('one');
    throw new Error('gone');
  };
  await expect(zipped([{ name: 'x', pieces: broken() }], Date.UTC(2026, 0))).rejects.toThrow('gone');
});

test('a bundle in memory is not larger than it may be, all files together', () => {
  const files = new MemoryFiles(10);
  files.write('a', Buffer.alloc(6));
  const file = files.open('b');
  file.write(Buffer.alloc(4));
  expect(() => file.write(Buffer.alloc(1))).toThrow('search less, or write it with orgtrail');
});

test('a bundle in memory keeps what it was given, though the buffer is used again', async () => {
  const files = new MemoryFiles(100);
  const file = files.open('a');
  const room = Buffer.from('one');
  file.write(room);
  room.write('two');
  file.write(room);
  file.end();
  const pieces: Buffer[] = [];
  for await (const piece of files.reader().pieces('a')) pieces.push(Buffer.from(piece));
  expect(Buffer.concat(pieces).toString()).toBe('onetwo');
});

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

it('CSV is read by the grammar of RFC 4180 as what was written, but for an apostrophe', () => {
  const cells = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a"b', 'a,b', 'x\r\ny', '"', '')), {
    minLength: 1,
    maxLength: 6,
  });
  forAll([cells], {}, (texts) => {
    const [record, ...more] = readCsv(csvRecord(texts));
    expect(more).toEqual([]);
    expect(record?.map((cell, n) => (cell === texts[n] ? cell : cell.replace(/^'/, '')))).toEqual(texts);
  });
});

it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '\uff1d1', '\uff0d1', '\u00a0@x'])(
  'CSV a spreadsheet takes %j for text',
  (cell) => expect(csvRecord([cell])).toBe(`"'${cell}"\r\n`),
);

it('CSV numbers, truth and nothing have no quotes', () =>
  expect(csvRecord([-1, null, true, 'a'])).toBe('-1,,true,"a"\r\n'));

const zipped = async (files: readonly ZipFile[], atMs: number): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of writeZip(files, atMs)) pieces.push(piece);
  return Buffer.concat(pieces);
};
