import { writeManifest } from '../../../../src/evidence/bundle/layout.ts';
import { begun, dropDecember, TestHistory, testEvent, usualHistory } from '../test-history.ts';
import { failing, grown, holding, rewritten, type Shape, small, withFile, withPayload } from './shape.ts';

const record = <T>(value: T | undefined): T => value as T;
const noSources = (paths: readonly string[], history: TestHistory) => {
  const files = history.bundle();
  for (const path of paths) files.delete(path);
  return files;
};
const usualSources = ['events/sources/000', 'events/sources/001.p/24'];
const swappedSource = (from: number, to: number) =>
  withFile(usualHistory(), 'events/sources/000', (bytes) => {
    bytes.copy(bytes, 2 * to, 2 * from, 2 * from + 2);
    return bytes;
  });
const lying = (): TestHistory => begun().append({ ...testEvent(1, 'o1', '2026-01'), statedBytes: 1 });
const absent = (history: TestHistory, ...positions: number[]): TestHistory => {
  for (const position of positions) history.dropped.add(position);
  return history;
};
const nextToDropped = (): TestHistory => {
  const history = begun();
  for (let number = 0; number < 10; number += 1)
    history.append(testEvent(number, 'o1', number < 5 ? '2025-12' : '2026-01'));
  return absent(dropDecember(history), 6);
};
const undropped = (): TestHistory => {
  const history = usualHistory();
  history.dropped.delete(50);
  return history;
};
const otherLeaf = () => ({
  leaf: record(rewritten(7, 7).leaves[6]),
  raw: Buffer.from(testEvent(7, 'o1', '2026-01').raw),
});
const listed = () => {
  const files = small().bundle();
  return files.set('README.txt', Buffer.from(`A bundle.\n\n${writeManifest(files)}`));
};

/** Events, their payload, and the files of a bundle. */
export const contentShapes: readonly Shape[] = [
  ...holding({
    usual: usualHistory(),
    small: small(),
    one: small(1),
    'two tiles': small(300),
    'no event': begun(),
    'nothing at all': new TestHistory(),
    'without sources': noSources(usualSources, usualHistory()),
    'without some sources': noSources(['events/sources/000'], usualHistory()),
    'rewritten, and no anchor': rewritten(20, 7),
    'dropped, and still there': undropped(),
    'a list of files': listed(),
    'a list of files, and one of the auditor': withFile(listed(), 'notes/what I think.txt', () => Buffer.from('x')),
    'a file of the auditor': withFile(small(), 'more.txt', () => Buffer.from('x')),
    'a file of a file system': withFile(small(), 'events/tile/0/.DS_Store', () => Buffer.from('x')),
    'payload of nothing': withFile(begun(), 'README.txt', () => Buffer.from('no list\n')),
  }),
  ...failing({
    'payload changed': [withPayload(small(), (a) => a.with(6, { ...record(a[6]), raw: Buffer.from('{}') })), 7],
    'two swapped': [withPayload(small(), ([a, b, ...rest]) => [record(b), record(a), ...rest]), 1],
    deleted: [withPayload(small(), (a) => a.toSpliced(6, 1)), 7],
    'deleted first': [withPayload(small(), (a) => a.toSpliced(0, 1)), 1],
    'deleted last': [withPayload(small(), (a) => a.toSpliced(19, 1)), 20],
    'a position twice': [withPayload(small(), (a) => [...a, record(a[19])]), 20],
    'another leaf': [withPayload(small(), (a) => a.with(6, otherLeaf())), 7],
    'an event behind the last': [
      withPayload(small(), (a) => [
        ...a,
        { leaf: record(grown(begun(), 21).leaves[20]), raw: Buffer.from(testEvent(1_020, 'o1', '2026-01').raw) },
      ]),
      21,
    ],
    'a length that lies': [lying(), 1],
    'dropped without a word': [absent(small(), 3, 4, 5), 3],
    'dropped, and one more': [absent(usualHistory(), 200), 200],
    'dropped, and the next': [nextToDropped(), 6],
    'hashed without the key': [
      withFile(rewritten(20, 7), 'events/checkpoint', () => small().checkpoint('events')),
      'root',
    ],
    'payload cut': [withFile(small(), 'events/payload/000000.oev', (bytes) => bytes.subarray(0, -1)), 20],
    'payload gone': [withFile(small(), 'events/payload/000000.oev', () => undefined), 1],
    'payload of no leaf': [withFile(small(), 'events/payload/000001.oev', () => Buffer.alloc(32)), '000001.oev'],
    'payload of a name that is none': [withFile(small(), 'events/payload/0.oev', () => Buffer.alloc(0)), '0.oev'],
    'sources of another length': [
      withFile(small(), 'events/sources/000.p/20', (bytes) => bytes.subarray(2)),
      'events/sources/000.p/20',
    ],
    'sources of a dropped event': [swappedSource(100, 101), 'o'],
    'sources of an event': [swappedSource(200, 201), 202],
    'sources of a hole': [
      withFile(usualHistory(), 'events/sources/000', (bytes) => Buffer.from(bytes.fill(1, 1, 2))),
      1,
    ],
    'sources of no tile': [withFile(small(), 'events/sources/001', () => Buffer.alloc(512)), 'events/sources/001'],
    'sources of no statement': [
      withFile(usualHistory(), 'events/sources/000', (bytes) => Buffer.from(bytes.fill(9, 200, 202))),
      101,
    ],
    'a tile of no tree': [withFile(small(), 'events/tile/0/001.p/1', () => Buffer.alloc(32)), 'events/tile/0/001.p/1'],
    'a partial tile beside the full one': [
      withFile(small(300), 'events/tile/0/000.p/20', () => Buffer.alloc(640)),
      '000.p/20',
    ],
    'a tile of the journal of no tree': [
      withFile(small(), 'journal/tile/1/000.p/1', () => Buffer.alloc(32)),
      'journal/tile/1/000.p/1',
    ],
    'an upper tile changed': [
      withFile(small(300), 'events/tile/1/000.p/1', () => Buffer.alloc(32)),
      'events/tile/1/000.p/1',
    ],
    'an upper tile gone': [withFile(small(300), 'events/tile/1/000.p/1', () => undefined), 'events/tile/1/000.p/1'],
    'a tile gone': [withFile(small(300), 'events/tile/0/001.p/44', () => undefined), 'events/tile/0/001.p/44'],
    'a tile longer than its name': [
      withFile(small(), 'events/tile/0/000.p/20', (bytes) => Buffer.concat([bytes, bytes])),
      '000.p/20',
    ],
    'a file fewer than listed': [
      withFile(listed(), 'events/sources/000.p/20', () => undefined),
      'events/sources/000.p/20',
    ],
    'a file that is not as listed': [
      withFile(listed(), 'policy.txt', (bytes) => Buffer.concat([bytes, Buffer.from('\n')])),
      'policy.txt',
    ],
    'a file of the logs that is not listed': [
      withFile(listed(), 'journal/reads.ndjson', () => Buffer.from('x')),
      'journal/reads.ndjson',
    ],
    'a list with a path upwards': [
      withFile(listed(), 'README.txt', (bytes) =>
        Buffer.concat([bytes, Buffer.from(`${'0'.repeat(64)}  ../secret\n`)]),
      ),
      '../secret',
    ],
    'a list with a file twice': [
      withFile(listed(), 'README.txt', (bytes) =>
        Buffer.concat([bytes, Buffer.from(`${'0'.repeat(64)}  policy.txt\n`)]),
      ),
      'policy.txt',
    ],
  }),
];
