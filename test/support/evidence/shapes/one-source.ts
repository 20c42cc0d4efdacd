import { sha256 } from '../../../../src/evidence/bytes.ts';
import { type Cut, cutToSource } from '../bundles/one-source-bundle.ts';
import { begun, dropDecember, TestHistory, testEvent, usualHistory } from '../test-history.ts';
import { type Files, failing, grown, holding, kept, rewritten, type Shape, small, withFile } from './shape.ts';

const entries = 'journal/entries.ndjson';
const later = '{"later":true}';
const seen = { event_id: 'e', seen_at: '2026-02-01T00:00:00Z' };

const changed = (history: TestHistory, position: number): TestHistory =>
  history.state({
    type: 'change',
    position,
    ...seen,
    raw_sha256: sha256(Buffer.from(later)).toString('hex'),
    length: later.length,
  });
const held = (
  history: TestHistory,
  id: number,
  organization: string | null,
  createdAt = '2026-03-02T00:00:00Z',
): TestHistory =>
  history.state({
    type: 'hold',
    action: 'added',
    id,
    organization_id: organization,
    account_id: null,
    since: null,
    before: null,
    reason: `case ${id}`,
    created_by: null,
    created_as: 'dba',
    created_at: createdAt,
    released_by: null,
    released_as: null,
    released_at: null,
  });

/** Three tiles of events and two of statements; `rare` has events in the first and in the last tile of events only. */
const wideHistory = (): TestHistory => {
  const history = begun(20).append(undefined, undefined, testEvent(2, 'rare', '2025-12'));
  for (let number = 3; number < 700; number += 1) {
    const month = number % 90 === 7 ? undefined : number < 220 ? '2025-12' : '2026-01';
    history.append(testEvent(number, ['o1', 'o2', 'o3'][number % 3] ?? '', month));
    if (number % 2 === 0) history.stateCoverage('o2');
    if (number === 400) history.stateCoverage('o1');
  }
  history.append(testEvent(700, 'rare', '2026-01')).stateCoverage('rare');
  dropDecember(history, { dropped_at: '2026-03-01T00:00:00Z' });
  return changed(held(held(held(history, 1, null), 2, 'o1'), 3, 'o2'), 601);
};
/** With coverage of all, and events after it. */
const wide = (): TestHistory =>
  grown(wideHistory().stateCoverage('o1').stateCoverage('rare').stateCoverage('none'), 10);

/** `o1` has the changed event 601. */
const lineOf = (position: number): Buffer => Buffer.from(`${JSON.stringify({ position, ...seen, raw: later })}\n`);
const whole = wide().bundle();
export const cut = (given: Partial<Cut> = {}, from = whole): Files => {
  const files = cutToSource(from, { source: 'o1', ...given });
  const hasChange = (files.get(entries) as Buffer).includes('"change"');
  return hasChange ? files.set('changes.ndjson', lineOf(601)) : files;
};
const of = (history: TestHistory, source = 'o1'): Files => cutToSource(history.bundle(), { source });

const listing = (list: NonNullable<Cut['list']>): Files => cut({ list });
const without = (index: number): Files => listing((indexes) => indexes.filter((one) => one !== index));
const withMore = (...more: number[]): Files => listing((indexes) => [...indexes, ...more].sort((a, b) => a - b));
type Kind = (text: string, index: number) => boolean;
const leavingOut = (isLeftOut: Kind): Files =>
  cut({ disclose: (indexes, texts) => indexes.filter((index) => !isLeftOut(texts[index] ?? '', index)) });
const disclosing = (isShown: Kind): Files =>
  cut({ disclose: (_, texts) => [...texts.keys()].filter((index) => isShown(texts[index] ?? '', index)) });
const isOf = (type: string, source = ''): Kind => {
  return (text) => text.includes(`"type":"${type}"`) && text.includes(source);
};
const isCommon: Kind = (text) => /"type":"(?:genesis|drop)"/.test(text);
const isOfSource = (source: string): Kind => {
  return (text) => isCommon(text, 0) || (/"type":"(?:source|coverage)"/.test(text) && text.includes(`"${source}"`));
};

const records = (bytes: Buffer): Buffer[] =>
  Array.from({ length: bytes.length / 40 }, (_, at) => bytes.subarray(40 * at, 40 * at + 40));
const withRecords = (log: 'events' | 'journal', change: (all: Buffer[]) => Buffer[]): Files =>
  withFile(cut(), `${log}/leaves`, (bytes) => Buffer.concat(change(records(Buffer.from(bytes)))));
const moved = (by: number) => (all: Buffer[]) => {
  const record = all[50] as Buffer;
  record.writeBigUInt64BE(record.readBigUInt64BE() + BigInt(by));
  return all;
};
const flipped = (bytes: Buffer, at = bytes.length - 1): Buffer => {
  const changedBytes = Buffer.from(bytes);
  changedBytes[at] = (changedBytes[at] ?? 0) ^ 1;
  return changedBytes;
};
const withLines = (change: (lines: string[]) => string[]): Files =>
  withFile(cut(), entries, (bytes) => {
    const lines = change(bytes.toString().split('\n').slice(0, -1));
    return Buffer.from(lines.map((line) => `${line}\n`).join(''));
  });
const swapped = (lines: string[]): string[] => [lines[0] ?? '', lines[2] ?? '', lines[1] ?? '', ...lines.slice(3)];
const anchored = (name: string, files: Files, history: TestHistory, word?: string): Shape => ({
  name,
  files,
  anchors: kept(history),
  ...(word !== undefined && { fault: { word } }),
});
const forked = (): TestHistory => {
  const last_note = small().checkpoint('events').toString();
  const fork = { type: 'fork' as const, last_note, common_size: 20, cause: 'restore', by: 'dba' };
  return grown(new TestHistory(2).state(fork), 300).stateCoverage('o1');
};
const jumped = (): TestHistory =>
  small().state({
    type: 'jump',
    id: 1,
    positions: [[3, 5]],
    old_timeline: 'a',
    new_timeline: 'b',
    found_at: '2026-02-01T00:00:00Z',
  });

const undroppedHistory = (): TestHistory => {
  const history = begun();
  for (let number = 0; number < 30; number += 1)
    history.append(testEvent(number, number % 2 === 0 ? 'o1' : 'o2', '2025-12'));
  return history;
};

/** A log that is so long that tiles of level 1 are full; almost all of it are holes. */
const longHistory = (): TestHistory => {
  const history = begun(70_000);
  const events = new Map([5, 300, 65_000].map((index) => [index, testEvent(index, 'o1', '2026-01')]));
  history.append(...Array.from({ length: 70_000 }, (_, index) => events.get(index)));
  return history.stateCoverage('o1');
};
const long = of(longHistory());

/** Each tile that a bundle has, taken away or changed. */
const tileShapes: Shape[] = [...cut().keys()]
  .filter((path) => path.includes('/tile/'))
  .flatMap((path) => [
    { name: `without ${path}`, files: withFile(cut(), path, () => undefined), fault: { word: '/' } },
    { name: `a bit of ${path}`, files: withFile(cut(), path, (bytes) => flipped(bytes)), fault: {} },
    {
      name: `${path} with a byte more`,
      files: withFile(cut(), path, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
      fault: { word: path },
    },
  ]);

export const oneSourceShapes: Shape[] = [
  ...holding({
    'one source of three': of(usualHistory()),
    'events after its last coverage': cut(),
    'a source with events in few tiles': cut({ source: 'rare' }),
    'a source without events': cut({ source: 'none' }),
    'all events of a log of one source': of(small()),
    'one event': of(small(1)),
    'three levels of tiles': long,
    'one full tile': of(small(256)),
    'a full tile and one event': of(small(257)),
    'two full tiles': of(small(512)),
    'all but the last coverage statement, which claims less': of(grown(usualHistory(), 5).stateCoverage('o1')),
    'the last coverage statement cut out: it claims less': cutToSource(usualHistory().stateCoverage('o1').bundle(), {
      source: 'o1',
      disclose: (indexes) => indexes.slice(0, -1),
    }),
    'a later generation': of(forked()),
  }),
  anchored('a kept checkpoint of a size that a statement names', of(grown(small(), 5)), small()),
  anchored('a kept checkpoint of another size', cut({ source: 'rare' }), rewritten(333, 5)),
  anchored('a kept checkpoint of another tree', of(grown(small(), 5)), rewritten(20, 3), 'rewritten'),
  anchored('a kept checkpoint of more', of(small()), small(21), '21'),
  ...failing({
    'an event that is there, lost': [without(600), '233'],
    'an event that was dropped, lost': [without(99)],
    'the first event lost': [without(3)],
    'an event lost from the list alone': [cut().set('events/leaves', without(600).get('events/leaves') as Buffer), 601],
    'an event of another source more': [withMore(601), 602],
    'a dropped event of another source more': [withMore(100)],
    'a hole more': [withMore(0), 1],
    'an index that the log has not': [withMore(5_000), '5000'],
    'a wrong index': [withRecords('events', moved(1))],
    'an index that comes twice': [withRecords('events', (all) => [...all.slice(0, 9), ...all.slice(8)]), 'leaf'],
    'records in another order': [
      withRecords('events', (all) => [all[1] as Buffer, all[0] as Buffer, ...all.slice(2)]),
      'leaf',
    ],
    'another hash': [withRecords('events', (all) => [flipped(all[0] as Buffer), ...all.slice(1)]), 4],
    'a list that is cut': [withFile(cut(), 'events/leaves', (bytes) => bytes.subarray(0, -1)), 'cut'],
    'no payload of an event': [withFile(cut(), 'events/payload/000000.oev', () => Buffer.alloc(0)), 223],
    'no file of payload': [withFile(cut(), 'events/payload/000000.oev', () => undefined), 223],
    'a changed payload': [
      withFile(cut(), 'events/payload/000000.oev', (bytes) => flipped(bytes, bytes.length - 3)),
      711,
    ],
    'payload of other sources': [
      withFile(cut(), 'events/payload/000000.oev', () => whole.get('events/payload/000000.oev')),
      8,
    ],
    'sources of all leaves': [
      cut().set('events/sources/000', whole.get('events/sources/000') as Buffer),
      'events/sources/000',
    ],
    'no statement of the drop': [leavingOut(isOf('drop')), 4],
    'no coverage statement': [leavingOut(isOf('coverage')), 'coverage'],
    'no source statement': [leavingOut(isOf('source')), 223],
    'no genesis': [leavingOut(isOf('genesis')), 'first'],
    'no statement of its change': [leavingOut(isOf('change')).set('changes.ndjson', lineOf(601)), 'changes.ndjson'],
    'no later content': [withFile(cut(), 'changes.ndjson', () => Buffer.alloc(0)), 601],
    'a change of another source': [
      cut({
        source: 'rare',
        disclose: (own, texts) => [...own, texts.findIndex((text) => text.includes('"change"'))].sort((a, b) => a - b),
      }),
      601,
    ],
    'a coverage statement of another source as well': [
      cut({
        disclose: (own, texts) =>
          [...own, texts.findLastIndex((text) => text.includes('"rare"'))].sort((a, b) => a - b),
      }),
      'rare',
    ],
    'a coverage statement of another source, which has no events, as well': [
      cut({
        disclose: (own, texts) => [...own, texts.findIndex((text) => text.includes('"none"'))].sort((a, b) => a - b),
      }),
      'none',
    ],
    'a source statement of another one instead of its own': [
      disclosing((text, index) =>
        isOf('source')(text, index) ? text.includes('"o2"') : isOfSource('o1')(text, index),
      ),
      223,
    ],
    'statements of another source': [disclosing(isOfSource('rare'))],
    'a line fewer than records': [withLines((lines) => lines.slice(0, -1))],
    'a line more than records': [withLines((lines) => [...lines, lines[1] ?? '']), 'entries.ndjson'],
    'two lines swapped': [withLines(swapped), 'statement'],
    'a record of statements fewer': [withRecords('journal', (all) => all.slice(0, -1))],
    'a record of statements with another index': [
      withRecords('journal', (all) => [...all.slice(0, -1), flipped(all.at(-1) as Buffer, 7)]),
      'leaf',
    ],
    'no list of statements': [withFile(cut(), 'journal/leaves', () => undefined), 'journal/leaves'],
    'no list of leaves': [withFile(cut(), 'events/leaves', () => undefined)],
    'another checkpoint': [cut().set('events/checkpoint', small().checkpoint('events'))],
    'a tile that is none': [cut().set('events/tile/0/007', Buffer.alloc(8_192)), 'events/tile/0/007'],
    'a tile under another width': [cut().set('events/tile/0/000.p/9', Buffer.alloc(9 * 32)), 'events/tile/0/000.p/9'],
    'a full tile that is another one': [
      withFile(cut(), 'events/tile/0/001', () => whole.get('events/tile/0/000')),
      'events/tile/0/001',
    ],
    'a full tile of level 1 taken away': [withFile(long, 'events/tile/1/000', () => undefined), 'events/tile/1/000'],
    'a full tile of level 1 changed': [
      withFile(long, 'events/tile/1/000', (bytes) => flipped(bytes, 40)),
      'events/tile/',
    ],
    'a tile of level 2 changed': [withFile(long, 'events/tile/2/000.p/1', (bytes) => flipped(bytes))],
    'a count that is too large, signed': [of(usualHistory().stateCoverage('o1', { events: 94 })), '94'],
    'a count that is too small, signed': [of(usualHistory().stateCoverage('o1', { events: 92 })), '92'],
    'another chain, signed': [of(usualHistory().stateCoverage('o1', { chain: '00'.repeat(32) })), 'chain'],
    'coverage that shrank': [of(usualHistory().stateCoverage('o1', { passes: [] })), 'no longer'],
    'a jump over its event': [of(jumped()), 3],
    'a drop against a hold of it': [
      of(
        dropDecember(held(undroppedHistory(), 1, 'o1', '2026-03-01T00:00:00Z'), {
          dropped_at: '2026-03-01T01:00:00Z',
        }).stateCoverage('o1'),
      ),
      'hold',
    ],
  }),
  ...tileShapes,
];
