import type { ReadRow } from '../../../../src/evidence/bundle/records.ts';
import { begun, type TestHistory } from '../test-history.ts';
import { type Files, failing, grown, holding, type Shape, withFile } from './shape.ts';

const path = 'journal/reads.ndjson';

/** Two sources with three and two reads, stated in two steps. */
const read = (): TestHistory => {
  const history = grown(grown(begun(), 10), 5, 'o2');
  history.reads.add('o1', 2).add('o2', 1);
  history.stateCoverage('o1').stateCoverage('o2');
  history.reads.add('o1', 1).add('o2', 1);
  return history.stateCoverage('o1').stateCoverage('o2');
};

const withLines = (change: (lines: string[]) => readonly string[], history = read()): Files =>
  withFile(history, path, (bytes) =>
    Buffer.from(
      change(bytes.toString().split('\n').slice(0, -1))
        .map((line) => `${line}\n`)
        .join(''),
    ),
  );
const withText = (change: (text: string) => string): Files =>
  withFile(read(), path, (bytes) => Buffer.from(change(bytes.toString())));

const forgotten = (): TestHistory => {
  const history = read();
  history.reads.forget('o1', 2).add('o1', 1);
  return history.stateCoverage('o1');
};
/** With a last statement whose list is another one. */
const restated = (change: (reads: NonNullable<ReturnType<TestHistory['reads']['stated']>>) => unknown): TestHistory => {
  const history = read();
  const reads = history.reads.stated('o1');
  return history.stateCoverage('o1', { reads: reads && (change(reads) as typeof reads) });
};
const hidden = (): TestHistory => {
  const history = read();
  history.reads.add('o1', 1);
  return history.stateCoverage('o1', { reads: null });
};
const odd = (fields: Partial<Record<keyof ReadRow, unknown>>): TestHistory => {
  const history = read();
  history.reads.add('o1', 1, fields as Partial<ReadRow>);
  return history.stateCoverage('o1');
};

/** Lists of requests: that of a bundle and that of its statements. */
export const readShapes: readonly Shape[] = [
  ...holding({
    'reads of two sources': read(),
    'reads without the first, which are no longer kept': forgotten(),
    'reads that were all forgotten but for the last': (() => {
      const history = read();
      history.reads.forget('o1', 2);
      return history.stateCoverage('o1');
    })(),
    'reads of a source without one': grown(begun(), 3).stateCoverage('o1', {
      reads: { count: 0, sha256: '00'.repeat(32), after: { count: 0, sha256: '00'.repeat(32) } },
    }),
    'reads that are stated without a beginning, as the whole list': restated(({ count, sha256 }) => ({
      count,
      sha256,
    })),
    'a later statement of a version that keeps no list': read().stateCoverage('o1', { reads: null }),
    'a list of reads without a row': withFile(grown(begun(), 3).stateCoverage('o1'), path, () => Buffer.alloc(0)),
    'a row with a field of a later version': odd({ later: { than: ['this'] } } as never),
    'a row without headers': odd({ first_date: null, first_cf_ray: null, last_date: null, last_cf_ray: null }),
  }),
  ...failing({
    'no list of reads': [withFile(read(), path, () => undefined), 'not in the bundle'],
    'the last read of a source gone': [withLines((lines) => lines.toSpliced(2, 1)), 'o1'],
    'the first read of a source gone': [withLines((lines) => lines.toSpliced(0, 1)), 'does not belong there'],
    'a read in the middle gone': [withLines((lines) => lines.toSpliced(1, 1)), 'does not belong there'],
    'all reads of a source gone': [withLines((lines) => lines.slice(0, 3)), 'not in the bundle'],
    'a read twice': [withLines((lines) => lines.toSpliced(1, 0, lines[0] ?? '')), 'does not belong there'],
    'one read more than is stated': [
      withLines((lines) => lines.toSpliced(3, 0, (lines[2] ?? '').replace('"number":3', '"number":4'))),
      'does not belong there',
    ],
    'two reads in the other order': [
      withLines(([one, two, ...rest]) => [two ?? '', one ?? '', ...rest]),
      'does not belong there',
    ],
    'two reads that have changed their numbers': [
      withLines(([one, two, ...rest]) => [
        (two ?? '').replace('"number":2', '"number":1'),
        (one ?? '').replace('"number":1', '"number":2'),
        ...rest,
      ]),
      'reads of organization o1 up to row',
    ],
    'sources in the other order': [
      withLines((lines) => [...lines.slice(3), ...lines.slice(0, 3)]),
      'does not belong there',
    ],
    'reads of a source in two places': [
      withLines((lines) => [...lines.slice(0, 2), ...lines.slice(3), lines[2] ?? '']),
      'o1',
    ],
    'another number of entries': [
      withLines((lines) => lines.with(1, (lines[1] ?? '').replace('"entries":2', '"entries":3'))),
      'o1',
    ],
    'another CF-Ray in the last row': [
      withLines((lines) => lines.with(4, (lines[4] ?? '').replace('-FRA', '-LHR'))),
      'o2',
    ],
    'white space more': [withLines((lines) => lines.with(2, `${lines[2]} `)), 'o1'],
    'a row of another source': [
      withLines((lines) => [...lines, (lines[0] ?? '').replace('"o1"', '"o3"')]),
      'does not belong there',
    ],
    'a row that is no JSON': [withLines((lines) => lines.with(1, '{"number":2')), 'ine 2'],
    'a row that is empty': [withLines((lines) => lines.toSpliced(1, 0, '')), 'ine 2'],
    'a row that says a thing twice': [
      withLines((lines) => lines.with(1, (lines[1] ?? '').replace('{', '{"number":2,'))),
      'ine 2',
    ],
    'no end of the last line': [withText((text) => text.slice(0, -1)), 'reads.ndjson'],
    'a line of more than 64 KiB': [withText((text) => text.replace('"live"', `"${'x'.repeat(65_536)}"`)), 'too long'],
    'a row that is stated and has no time': [odd({ read_at: 'today' }), 'ine 4'],
    'a row that is stated and has no window': [odd({ since: '-infinity' }), 'ine 4'],
    'a row that is stated and has a hash of another length': [odd({ bodies_sha256: 'ab' }), 'ine 4'],
    'a row that is stated and has a number of pages below 0': [odd({ pages: -1 }), 'ine 4'],
    'a row that is stated and has another number': [odd({ number: 9 }), 'does not belong there'],
    'reads that no statement has yet': [hidden(), 'does not belong there'],
    'another count of reads': [restated((reads) => ({ ...reads, count: 4 })), 'o1'],
    'fewer than before': [restated((reads) => ({ ...reads, count: 2 })), 'o1'],
    'another hash of reads': [restated((reads) => ({ ...reads, sha256: '11'.repeat(32) })), 'o1'],
    'another hash of what is gone': [
      restated((reads) => ({ ...reads, after: { count: 1, sha256: '11'.repeat(32) } })),
      'o1',
    ],
    'more gone than there was': [
      restated((reads) => ({ ...reads, after: { count: 4, sha256: '11'.repeat(32) } })),
      'o1',
    ],
    'rows that a statement says are gone': [
      withFile(forgotten(), path, () => Buffer.from(read().bundle().get(path) ?? '')),
      'does not belong there',
    ],
  }),
];
