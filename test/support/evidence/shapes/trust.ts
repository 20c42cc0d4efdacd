import type { StatementOf } from '../../../../src/evidence/journal/statement.ts';
import { writePolicy } from '../../../../src/evidence/notes/policy.ts';
import { writeNote } from '../../../../src/evidence/notes/signed-note.ts';
import { begun, eventsOrigin, TestHistory, usualHistory } from '../test-history.ts';
import { logSigner } from '../test-keys.ts';
import { type Files, failing, grown, holding, kept, rewritten, type Shape, small, withFile } from './shape.ts';

const journalOrigin = eventsOrigin.replace('/events', '/journal');
const logs = [logSigner(eventsOrigin).key, logSigner(journalOrigin).key];
const checkpoint = 'events/checkpoint';
const lineOf = (history: TestHistory, by: ReturnType<typeof logSigner>): string => {
  const text = history.checkpoint('events').toString().split('\n\n')[0] ?? '';
  return writeNote({ text: `${text}\n`, signatures: [by.sign(`${text}\n`)] }).split('\n\n')[1] ?? '';
};
const signedBy = (history: TestHistory, by: ReturnType<typeof logSigner>): Files =>
  withFile(history, checkpoint, (bytes) => Buffer.concat([bytes, Buffer.from(lineOf(history, by))]));
const stray = (text: string): string =>
  text.replace(/(.)==\n$/, (_, digit: string) => `${digit === 'A' ? 'B' : 'A'}==\n`);
const passes = (...ranges: readonly (readonly [string, string])[]) => ({
  passes: [{ pass: 0, ranges: ranges.map(([from, to]): [string, string] => [from, to]) }],
});
const [start, half, end] = ['2026-01-01T00:00:00Z', '2026-04-01T00:00:00.5Z', '2026-05-01T00:00:00Z'];
const wide = (): TestHistory => small().stateCoverage('o1', passes(['-infinity', half]));
const other = { filter: { text: 'x=1', hash: '1' } };
const two = (second: [string, string][]) => ({
  passes: [
    { pass: 0, ranges: [['-infinity', half] as [string, string]] },
    { pass: 1, ranges: second },
  ],
});
/** The usual statements cover up to their own time. */
const beginning = (): TestHistory => grown(begun(), 20);

const far: StatementOf<'coverage'>['passes'] = [
  {
    pass: 0,
    ranges: [
      ['9999-01-01T00:00:00Z', '10000-01-01T00:00:00Z'],
      ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'],
    ],
  },
];

/** Coverage of a source. */
export const coverageShapes: readonly Shape[] = [
  ...holding({
    'coverage again': wide().stateCoverage('o1', passes(['-infinity', half])),
    'coverage in parts': wide().stateCoverage('o1', passes([start, end], ['-infinity', start])),
    'coverage of another filter': wide().stateCoverage('o1', { ...other, passes: [] }),
    'coverage of another filter and back': wide()
      .stateCoverage('o1', { ...other, passes: [] })
      .stateCoverage('o1', { passes: [] }),
    'coverage of another text of a filter': wide().stateCoverage('o1', { filter: { text: 'x', hash: '' }, passes: [] }),
    'one pass less, and all the same': wide()
      .stateCoverage('o1', two([['-infinity', start]]))
      .stateCoverage('o1', two([])),
    'one pass for the other': wide().stateCoverage('o1', { passes: [{ pass: 1, ranges: [['-infinity', half]] }] }),
    'coverage of nothing': beginning().stateCoverage('o1', { passes: [] }),
    'coverage of a moment': beginning().stateCoverage('o1', passes([start, start])),
  }),
  ...failing({
    'coverage up to a year of five digits': [
      grown(begun(), 3).stateCoverage('o1', { passes: far }),
      'before that was over',
    ],
    'coverage beyond as of when it was read': [
      wide().stateCoverage('o1', { ...passes(['-infinity', half]), as_of: '2026-04-01T00:00:00.49Z' }),
      'before that was over',
    ],
    'coverage less at the end': [wide().stateCoverage('o1', passes(['-infinity', '2026-04-01T00:00:00.49Z'])), 'o1'],
    'coverage less at the beginning': [wide().stateCoverage('o1', passes([start, end])), 'o1'],
    'coverage of nothing any more': [wide().stateCoverage('o1', { passes: [] }), 'o1'],
    'coverage with a gap': [
      wide().stateCoverage('o1', passes(['-infinity', start], ['2026-01-02T00:00:00Z', end])),
      'o1',
    ],
    'coverage less of both passes': [
      wide()
        .stateCoverage('o1', two([['-infinity', end]]))
        .stateCoverage('o1', two([])),
      'o1',
    ],
    'coverage that ends before it starts': [small().stateCoverage('o1', passes([end, start])), 'statement 4'],
    'coverage without an end': [small().stateCoverage('o1', passes([start, 'infinity'])), 'statement 4'],
    'more events than there are': [small().stateCoverage('o1', { events: 21 }), 'o1'],
    'fewer events than there are': [small().stateCoverage('o1', { events: 19 }), 'o1'],
    'another chain': [small().stateCoverage('o1', { chain: '00'.repeat(32) }), 'o1'],
    'events of a source that has none': [small().stateCoverage('o2', { events: 1 }), 'o2'],
  }),
];

const shape = (name: string, files: Files, more: Omit<Shape, 'name' | 'files'>): Shape => ({ name, files, ...more });
const own = (policy: string) => Buffer.from(policy);
const word = (text: string) => ({ fault: { word: text } });
const generation = (
  number: number,
  last_note: string,
  common_size: number,
  history = new TestHistory(number),
): TestHistory => history.state({ type: 'fork', last_note, common_size, cause: 'restore', by: 'dba' });
/** Generation 2, of 30 events: the first 20 are those of generation 1. */
const forked = (common = 20, note = small().checkpoint('events').toString()): TestHistory =>
  grown(generation(2, note, common), 30).stateCoverage('o1');
/** The fork names the journal of this history. */
const afterJournal = (before: TestHistory, number = 2): TestHistory => {
  const [origin = '', size, root = ''] = before.checkpoint('journal').toString().split('\n');
  const old_journal = { origin, size: Number(size), root };
  const said = { last_note: '', common_size: 0, cause: 'restore', by: 'dba', old_journal };
  return grown(new TestHistory(number).state({ type: 'fork', ...said }), 5);
};
const bundled = (history: TestHistory, note: Buffer): Files => withFile(history, 'anchors/1', () => note);
const eventsTwice = (): Files => {
  const files = small().bundle();
  for (const [path, bytes] of small().bundle())
    if (/^events\/(checkpoint|tile)/.test(path)) files.set(path.replace('events', 'journal'), bytes);
  return files;
};
const otherFeed = (): Buffer => {
  const origin = eventsOrigin.replace('1f2e3d4c', '00000000');
  const text = small().checkpoint('events').toString().split('\n\n')[0]?.replace(eventsOrigin, origin) ?? '';
  return Buffer.from(writeNote({ text: `${text}\n`, signatures: [logSigner(origin).sign(`${text}\n`)] }));
};

/** Checkpoints, anchors, keys and generations. */
export const trustShapes: readonly Shape[] = [
  ...holding({
    'a later generation': forked(),
    'a fork without a checkpoint': forked(20, ''),
    'a generation that has its genesis as well': grown(begun(0, generation(2, '', 0)), 5),
    'a third generation': grown(generation(3, forked().checkpoint('events').toString(), 30), 40),
    'an anchor in the bundle': bundled(small(30), small(20).checkpoint('events')),
    'an anchor of the generation before, in the bundle': bundled(forked(), small(20).checkpoint('events')),
    'a file of a file system beside the anchors': withFile(small(), 'anchors/.DS_Store', () => Buffer.from('x')),
  }),
  ...failing({
    'an anchor in the bundle that is none': [withFile(small(), 'anchors/1', () => Buffer.from('garbage')), 'anchors/1'],
    'an anchor in the bundle that is empty': [withFile(small(), 'anchors/1', () => Buffer.alloc(0)), 'anchors/1'],
    'an anchor in the bundle of another tree': [bundled(rewritten(30, 7), small(20).checkpoint('events')), 'anchors/1'],
    'an anchor in the bundle of another feed': [bundled(small(), otherFeed()), 'anchors/1'],
    'not cosigned': [withFile(small(), checkpoint, () => small().checkpoint('events', false)), checkpoint],
    'the journal not cosigned': [
      withFile(small(), 'journal/checkpoint', () => small().checkpoint('journal', false)),
      'journal/checkpoint',
    ],
    'signed by a key that the bundle does not name': [
      signedBy(small(), logSigner('other.example.com/x')),
      'other.example.com/x',
    ],
    'fewer witnesses in the policy': [
      withFile(small(), 'policy.txt', () => own(writePolicy(logs, [], 0))),
      'witness.example.com/w1',
    ],
    'a signature with stray bits': [
      withFile(small(), checkpoint, (bytes) => Buffer.from(stray(bytes.toString()))),
      checkpoint,
    ],
    'an extension line': [
      withFile(small(), checkpoint, (bytes) => Buffer.from(bytes.toString().replace('\n\n', '\nx\n\n'))),
      checkpoint,
    ],
    'no policy': [withFile(small(), 'policy.txt', () => undefined), 'policy.txt'],
    'a policy twice': [withFile(small(), 'policy.txt', (bytes) => Buffer.concat([bytes, bytes])), 'policy'],
    'a witness in two groups': [
      withFile(small(), 'policy.txt', (bytes) =>
        Buffer.from(bytes.toString().replace('quorum witnesses', 'group g any w1\nquorum g')),
      ),
      'policy',
    ],
    'no checkpoint': [withFile(small(), checkpoint, () => undefined), checkpoint],
    'the log of the events as the journal': [eventsTwice(), 'feed'],
    'a fork in the first generation': [grown(generation(1, '', 0), 5), 'statement 1'],
    'a later generation without a fork': [grown(begun(0, new TestHistory(2)), 5), 'statement 1'],
    'a fork from a longer beginning': [forked(31), '31'],
    'a fork from another tree': [forked(20, rewritten(20, 3).checkpoint('events').toString()), '20'],
    'a fork with a checkpoint that is none': [forked(20, 'x'), 'fork'],
    'a fork with a checkpoint of its own generation': [
      forked(20, small(20).checkpoint('events').toString().replaceAll('.1/', '.2/')),
      'fork',
    ],
    'a fork with a wrong signature': [
      forked(20, small().checkpoint('events').toString().replace('\n20\n', '\n19\n')),
      'fork',
    ],
  }),
  shape('an anchor', small(30).bundle(), { anchors: kept(small(20)) }),
  shape('an anchor of the journal', small().stateCoverage('o1').bundle(), { anchors: kept(small(), 'journal') }),
  shape('an anchor without witnesses', small().bundle(), {
    anchors: [{ name: 'kept', note: small().checkpoint('events', false) }],
  }),
  shape('an anchor of the usual', usualHistory().bundle(), { anchors: kept(usualHistory()) }),
  shape('an anchor of the rewritten', rewritten(30, 7).bundle(), { anchors: kept(small(20)), ...word('kept') }),
  shape('an anchor of the rewritten journal', rewritten(20, 7).bundle(), {
    anchors: kept(small(), 'journal'),
    ...word('kept'),
  }),
  shape('an anchor that is larger', small(9).bundle(), { anchors: kept(small(20)), ...word('missing at the end') }),
  shape('an anchor of what was cut and has grown', grown(small(9), 30, 'o2').bundle(), {
    anchors: kept(small(20)),
    ...word('rewritten'),
  }),
  shape('an anchor that was changed', small(30).bundle(), {
    anchors: [
      { name: 'kept', note: Buffer.from(small(20).checkpoint('events').toString().replace('\n20\n', '\n21\n')) },
    ],
    ...word('kept'),
  }),
  shape('an anchor that is none', small().bundle(), {
    anchors: [{ name: 'kept', note: Buffer.from('hello\n') }],
    ...word('kept'),
  }),
  shape('an anchor of another feed', small().bundle(), {
    anchors: [{ name: 'kept', note: otherFeed() }],
    ...word('kept'),
  }),
  shape('an anchor of the generation before', forked().bundle(), { anchors: kept(small(15)) }),
  shape('an anchor of the generation before, behind the fork', forked(20).bundle(), {
    anchors: kept(rewritten(25, 22)),
    ...word('lost or rewritten'),
  }),
  shape('an anchor of the generation before, larger than this one', forked(20).bundle(), {
    anchors: kept(small(40)),
    ...word('lost or rewritten'),
  }),
  shape('an anchor of the journal before', forked().bundle(), { anchors: kept(small(), 'journal') }),
  shape('an anchor of the journal before, which the fork names', afterJournal(small()).bundle(), {
    anchors: kept(small(), 'journal'),
  }),
  shape('an anchor of the journal before, smaller than the fork names', afterJournal(small()).bundle(), {
    anchors: kept(begun(), 'journal'),
  }),
  shape('an anchor of the journal before, larger than the fork names', afterJournal(small()).bundle(), {
    anchors: kept(small().stateCoverage('o1'), 'journal'),
    ...word('are not in this history'),
  }),
  shape('an anchor of the journal before, of another tree than the fork names', afterJournal(small()).bundle(), {
    anchors: kept(rewritten(20, 3), 'journal'),
    ...word('are not in this history'),
  }),
  shape('an anchor of a journal between, which the fork does not name', afterJournal(small(), 3).bundle(), {
    anchors: kept(forked(), 'journal'),
    ...word('are not in this history'),
  }),
  shape('an anchor of the journal before that', afterJournal(forked(), 3).bundle(), {
    anchors: kept(small(), 'journal'),
  }),
  shape('an anchor of the generation before, of another tree', forked().bundle(), {
    anchors: kept(rewritten(15, 3)),
    ...word('kept'),
  }),
  shape('an anchor of the generation before that', grown(generation(3, '', 10), 30).bundle(), {
    anchors: kept(rewritten(15, 3)),
    ...word('lost or rewritten'),
  }),
  shape('an anchor of a later generation', small().bundle(), {
    anchors: kept(grown(generation(2, '', 0), 30, 'o2')),
    ...word('kept'),
  }),
  shape('an anchor of a later journal', small().bundle(), {
    anchors: kept(forked(), 'journal'),
    ...word('generation'),
  }),
  shape('an anchor of the generation before, by another key', forked().bundle(), {
    anchors: kept(grown(new TestHistory(1, 'another key'), 10)),
    ...word('kept'),
  }),
  shape('a policy of strangers', small().bundle(), {
    policy: own(writePolicy([logSigner(eventsOrigin, 'another key').key], [], 0)),
    ...word(checkpoint),
  }),
  shape('a policy with fewer witnesses', small().bundle(), { policy: own(writePolicy(logs, [], 0)) }),
  shape(
    'a policy of the auditor, and an anchor in the bundle by another key',
    bundled(small(), new TestHistory(1, 'old').checkpoint('events')),
    {
      policy: own(writePolicy(logs, [], 0)),
    },
  ),
];
