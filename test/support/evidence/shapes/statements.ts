import { sha256 } from '../../../../src/evidence/bytes.ts';
import { journalLeaf } from '../../../../src/evidence/leaf.ts';
import { leafHash } from '../../../../src/evidence/tree/tiles.ts';
import { begun, dropDecember, eventsOrigin, type TestHistory, testEvent, usualHistory } from '../test-history.ts';
import { type Files, failing, grown, holding, rewritten, type Shape, small, withFile, withText } from './shape.ts';

const entries = 'journal/entries.ndjson';
const journalOrigin = eventsOrigin.replace('/events', '/journal');
const source = (number: number, id: string): TestHistory =>
  small().state({ type: 'source', number, kind: 'organization', id, organization_id: null });
const cut = (index: number, count: number, history = small()): TestHistory => {
  history.statements.splice(index, count);
  return history;
};
const reversed = (): TestHistory => {
  const history = usualHistory();
  history.statements.reverse();
  return history;
};
const stamped = (index: number, size: number): TestHistory => {
  const root = leafHash(journalLeaf(small().statements[index] ?? '')).toString('base64');
  const checkpoint = { origin: journalOrigin, size, root };
  return small().state({ type: 'timestamp', anchor: 'tsa', token_sha256: '00'.repeat(32), checkpoint });
};
const genesis = { type: 'genesis' as const, version: '1', feed_id: 'f', vkeys: [], retention: null, adopted: 0 };
const last = (change: (text: string) => string): TestHistory => withText(small(), 2, change);
const key = (history: TestHistory): TestHistory =>
  history.state({ type: 'key', reason: 'rotation', old_vkeys: ['a'], new_vkeys: ['b'], first_size: 5 });
const later = (extra: string) => (text: string) => `${text.replace('"coverage"', '"later"').slice(0, -1)},${extra}}`;
const clock = (fields: Record<string, unknown>): TestHistory =>
  small().state({
    type: 'clock',
    before: '2026-04-01T00:00:00.5Z',
    ahead_seconds: null,
    compared_at: null,
    ...fields,
  } as never);
const backInTime = (): TestHistory => {
  const history = small();
  history.at -= 86_400_000;
  return history.stateCoverage('o1', { passes: [{ pass: 0, ranges: [['-infinity', '2026-05-01T00:00:00Z']] }] });
};

const changed = (position: number, ...contents: readonly string[]): TestHistory => {
  const history = grown(begun(), 20);
  for (const raw of contents) {
    const bytes = Buffer.from(raw);
    const [raw_sha256, length] = [sha256(bytes).toString('hex'), bytes.length];
    history.state({ type: 'change', position, event_id: 'e', raw_sha256, length, seen_at: '2026-03-01T00:00:00Z' });
  }
  return history;
};
const changes = (text: string, history: TestHistory, path = 'changes.ndjson'): Files =>
  withFile(history, path, () => Buffer.from(text));
const line = (position: number, raw: string): string =>
  `${JSON.stringify({ position, event_id: 'e', seen_at: '2026-03-01T00:00:00Z', raw })}\n`;
const changedAndDropped = (): TestHistory => {
  const history = begun().append(testEvent(1, 'o1', '2025-12'), testEvent(2, 'o1', '2026-01'));
  history.state({
    type: 'change',
    position: 1,
    event_id: 'e',
    raw_sha256: '11'.repeat(32),
    length: 5,
    seen_at: '2026-02-01T00:00:00Z',
  });
  return dropDecember(history);
};

/** The journal and its statements. */
export const statementShapes: readonly Shape[] = [
  ...holding({
    'a type that is not known': last((text) => text.replace('"coverage"', '"later"')),
    'fields that are not known': last(later('"more":{"a":[1,-2,"\\ud83d\\ude00",null,true]}')),
    'white space in a statement': last((text) => text.replace(',', ' ,\t')),
    'coverage of a source without events': small().stateCoverage('o2'),
    'a time stamp of the journal': stamped(0, 1),
    'a key': key(small()),
    'a schema': small().state({ type: 'schema', from_version: '1', to_version: '2', size_before: 20, size_after: 20 }),
    'statements back in time': backInTime(),
    'a clock that went back': clock({}),
    'a clock that is behind that of Cloudflare': clock({
      before: null,
      ahead_seconds: -4_000,
      compared_at: '2026-03-01T00:00:00Z',
    }),
    'a later content': changes(line(3, '{"a":1}'), changed(3, '{"a":1}')),
    'later contents of one event': changes(line(3, 'b') + line(3, 'a'), changed(3, 'a', 'b')),
    'a later content at the other place': changes(line(3, 'a'), changed(3, 'a'), 'journal/changes.ndjson'),
    'a later content and no more than it': changes('{"position":3,"raw":"a"}\n', changed(3, 'a')),
    'a later content of a dropped event': changedAndDropped(),
  }),
  ...failing({
    'no genesis': [cut(0, 1), 'statement 1'],
    'a clock that is ahead by a word': [clock({ ahead_seconds: 'much' }), 'statement 4'],
    'a clock that went back from nowhere': [clock({ before: 'long ago' }), 'statement 4'],
    'a clock that does not say what it was': [clock({ before: undefined }), 'statement 4'],
    'no statement': [cut(0, 3), 'genesis'],
    'two of genesis': [small().state(genesis), 'statement 4'],
    'genesis twice at the beginning': [grown(begun().state(genesis), 5), 'statement 2'],
    'a fork in the middle': [
      small().state({ type: 'fork', last_note: '', common_size: 0, cause: 'c', by: 'dba' }),
      'statement 4',
    ],
    reversed: [reversed(), 'statement'],
    'a number twice': [source(1, 'o9'), 'source'],
    'a source twice': [source(9, 'o1'), 'source'],
    'source 0': [
      last((text) => text.replace(/^.*$/, small().statements[1]?.replace('"number":1', '"number":0') ?? '')),
      'statement 4',
    ],
    'a source without a statement': [cut(1, 1), 1],
    'a tree that never was': [withText(small(), 2, () => rewritten(20, 3).statements[2] ?? ''), 'statement 4'],
    'a tree that is larger': [withText(small(), 2, () => small(25).statements[2] ?? ''), 'statement 4'],
    'a tree that is smaller than before': [
      withText(small(), 0, (text) => text.replace('genesis', 'later')),
      'statement 4',
    ],
    'a tree of another log': [last((text) => text.replace('/events"', '/others"')), 'statement 4'],
    'a root in hexadecimal digits': [
      last((text) => text.replace(/"root":"[^"]*"/, `"root":"${'00'.repeat(32)}"`)),
      'statement 4',
    ],
    'a root with stray bits': [
      last((text) => text.replace(/(.)="/, (_, digit: string) => `${digit === 'A' ? 'B' : 'A'}="`)),
      'statement 4',
    ],
    'a time stamp of another journal': [stamped(1, 1), 'statement 4'],
    'a time stamp of a later journal': [stamped(0, 9), 'statement 4'],
    'a field twice': [last((text) => text.replace('"at"', '"type":"schema","at"')), 'statement 4'],
    'a field twice by an escape': [last((text) => text.replace('"at"', '"\\u0074ype":"schema","at"')), 'statement 4'],
    'a field twice of a type that is not known': [last(later('"more":[{"a":1,"a":1}]')), 'statement 4'],
    'a fraction': [last(later('"more":1.5')), 'statement 4'],
    'a size as a fraction': [last((text) => text.replace('"size":20', '"size":20.0')), 'statement 4'],
    'an exponent': [last((text) => text.replace('"events":20', '"events":2e1')), 'statement 4'],
    'a number that is rounded': [last(later('"more":9007199254740993')), 'statement 4'],
    'no number': [last(later('"more":NaN')), 'statement 4'],
    'half of a character': [last(later('"more":"\\ud83d"')), 'statement 4'],
    'half of a character in a name': [last(later('"\\ude00":1')), 'statement 4'],
    'many levels': [last(later(`"more":${'['.repeat(3_000)}${']'.repeat(3_000)}`)), 'statement 4'],
    'a text longer than a leaf': [
      withFile(small(), entries, (bytes) =>
        Buffer.from(bytes.toString().replace('"adopted":0', `"more":"${'x'.repeat(66_000)}"`)),
      ),
      'statement 1',
    ],
    'a chain that is a number': [last((text) => text.replace(/"chain":"[0-9a-f]*"/, '"chain":7')), 'statement 4'],
    'a chain in base64': [
      last((text) =>
        text.replace(
          /"chain":"([0-9a-f]*)"/,
          (_, hex: string) => `"chain":"${Buffer.from(hex, 'hex').toString('base64')}"`,
        ),
      ),
      'statement 4',
    ],
    'a time that is none': [last((text) => text.replace(/"at":"[^"]*"/, '"at":"yesterday"')), 'statement 4'],
    'a day that there is not': [
      last((text) => text.replace(/"at":"[^"]*"/, '"at":"2026-02-29T00:00:00Z"')),
      'statement 4',
    ],
    'a time without its zone': [last((text) => text.replace(/"at":"([^"]*)Z"/, '"at":"$1"')), 'statement 4'],
    'a count that is a text': [last((text) => text.replace('"commits":1', '"commits":"x"')), 'statement 4'],
    'a field fewer': [last((text) => text.replace('"commits":1,', '')), 'statement 4'],
    'an empty object': [withText(small(), 2, () => '{}'), 'statement 4'],
    'no object': [withText(small(), 2, () => '[]'), 'statement 4'],
    'no JSON': [withText(small(), 2, () => 'no JSON'), 'statement 4'],
    'no line end': [withFile(small(), entries, (bytes) => bytes.subarray(0, -1)), 'ends'],
    'a statement taken from the end': [
      withFile(small(), entries, (bytes) => bytes.subarray(0, bytes.lastIndexOf(10, -2) + 1)),
      'statement',
    ],
    'a statement that is not signed': [
      withFile(small(), entries, (bytes) => Buffer.concat([bytes, bytes.subarray(bytes.lastIndexOf(10, -2) + 1)])),
      'signed',
    ],
    'a statement changed': [
      withFile(small(), entries, (bytes) => Buffer.from(bytes.toString().replace('"adopted":0', '"adopted":9'))),
      'statement 1',
    ],
    'no journal': [withFile(small(), entries, () => undefined), entries],
    'a byte that is no UTF-8': [withFile(small(), entries, (bytes) => Buffer.concat([Buffer.of(0xff), bytes])), 'o'],
    'a change without its content': [changed(3, 'a'), 3],
    'a content without its change': [changes(line(3, 'a'), small()), '1'],
    'another content': [changes(line(3, 'b'), changed(3, 'a')), 3],
    'a content of another event': [changes(line(4, 'a'), changed(3, 'a')), 3],
    'a content twice': [changes(line(3, 'a') + line(3, 'a'), changed(3, 'a')), '2'],
    'a content without a line end': [changes(line(3, 'a').trimEnd(), changed(3, 'a')), 'changes.ndjson'],
    'a content with a field twice': [changes(line(3, 'a').replace('"raw"', '"position":3,"raw"'), changed(3, 'a')), 3],
    'a content of another id': [changes(line(3, 'a').replace('"e"', '"f"'), changed(3, 'a')), '1'],
    'a content of another time': [changes(line(3, 'a').replace('00Z', '01Z'), changed(3, 'a')), '1'],
    'a content with a field more': [changes(line(3, 'a').replace('"raw"', '"more":3,"raw"'), changed(3, 'a')), '1'],
    'a content that is no text': [changes('{"position":3,"raw":{"a":1}}\n', changed(3, '{"a":1}')), 3],
    'a position that is true': [changes('{"position":true,"raw":"a"}\n', changed(1, 'a')), 1],
  }),
];
