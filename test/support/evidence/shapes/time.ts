import { BUNDLE_TIME_PATH, payloadPath, withheldPath } from '../../../../src/evidence/bundle/layout.ts';
import { richBundle } from '../bundles/mutations.ts';
import { cutToSource } from '../bundles/one-source-bundle.ts';
import { cutToTime, january, type TimeCut } from '../bundles/time-bundle.ts';
import { begun, dropDecember, type TestHistory, testEvent, usualHistory } from '../test-history.ts';
import { type Files, failing, holding, kept, type Shape, withFile } from './shape.ts';

/** Of December, January and without a time, of three sources; nothing is dropped. Coverage of `o1` is stated at 30, then comes more. */
const manyTimes = (): TestHistory => {
  const history = begun();
  for (let number = 0; number < 40; number += 1) {
    const month = number % 10 === 7 ? undefined : number % 4 === 0 ? '2025-12' : '2026-01';
    history.append(testEvent(number, ['o1', 'o2', 'o3'][number % 3] ?? '', month));
    if (number === 29) history.stateCoverage('o1').stateCoverage('o2');
  }
  return history;
};

/** One event at each of these instants. */
const at = (...instants: readonly string[]): Files => {
  const history = begun();
  for (const [number, instant] of instants.entries()) {
    const [ms = '', digits = ''] = instant.split('+');
    const actionTimeUs = BigInt(Date.parse(ms)) * 1_000n + BigInt(digits === '' ? 0 : Number(digits));
    history.append({ ...testEvent(number, 'o1', '2026-01'), actionTimeUs });
  }
  return history.stateCoverage('o1').bundle();
};
/** The last microsecond before, the first, the last, and the first after January. */
const edges = at(
  '2025-12-31T23:59:59.999Z+999',
  '2026-01-01T00:00:00Z',
  '2026-01-31T23:59:59.999Z+999',
  '2026-02-01T00:00:00Z',
);
const before1970 = at('1969-12-31T23:59:59.999Z', '1970-01-01T00:00:00Z', '2026-01-05T00:00:00Z');

export const whole = manyTimes().bundle();
const cut = (given: TimeCut = {}): Files => cutToTime(whole, given);
const ofSource = (given: TimeCut = {}, source = 'o2'): Files => cutToTime(cutToSource(whole, { source }), given);
const stating = (text: string): Files => cut().set(BUNDLE_TIME_PATH, Buffer.from(text));
const undropped = (): Files => {
  const all = begun();
  for (let number = 0; number < 10; number += 1) all.append(testEvent(number, 'o1', '2025-12'));
  const before = all.bundle().get(payloadPath(0)) as Buffer;
  return cutToTime(dropDecember(all).stateCoverage('o1').bundle().set(payloadPath(0), before));
};

/** Bundles of a time. */
export const timeShapes: readonly Shape[] = [
  ...holding({
    'of a time': cut(),
    'of a time, with nothing of others but hashes': cut({ isHashesOnly: true }),
    'of a time, with an event as a hash alone, as if it were of another': cut({ isHashesOnly: true, hide: [2] }),
    'of a time and a source': ofSource(),
    'of a time and a source, with nothing of others but hashes': ofSource({ isHashesOnly: true }),
    'of a time without a beginning': cut({ time: { since: null } }),
    'of a time without an end': cut({ time: { before: null } }),
    'of all times': cut({ time: { since: null, before: null } }),
    'of a time in which nothing happened': cut({
      time: { since: '2019-01-01T00:00:00Z', before: '2019-01-02T00:00:00Z' },
    }),
    'of a time to its edges': cutToTime(edges),
    'of a microsecond': cutToTime(edges, {
      time: { since: '2026-01-31T23:59:59.999999Z', before: '2026-02-01T00:00:00.000000Z' },
    }),
    'of a time before 1970': cutToTime(before1970, {
      time: { since: '1969-12-31T00:00:00Z', before: '1970-01-01T00:00:00Z' },
    }),
    'of a time that was dropped': cutToTime(usualHistory().bundle(), {
      time: { since: '2025-12-01T00:00:00Z', before: '2026-01-01T00:00:00Z' },
    }),
    'of a time, after drops, jumps, holes and changes': cutToTime(richBundle()),
    'of a time without the changed event': cutToTime(richBundle(), { time: { before: '2026-01-02T00:00:00Z' } }),
    'of a time, with leaves of events that drops name': undropped(),
    'of a time, with spaces in the file that says which': stating(` ${JSON.stringify(january)} `),
  }),
  ...failing({
    'an event of the time without its content': [cut({ hide: [2] }), 2],
    'an event without a time without its content': [cut({ hide: [8] }), 8],
    'an event of the time and the source without its content': [ofSource({ hide: [2] }), 2],
    'content of an event of another time': [cut({ show: [1] }), 1],
    'content of an event at the end of the time': [cutToTime(edges, { show: [4] }), 4],
    'content of an event before the beginning of the time': [cutToTime(edges, { show: [1] }), 1],
    'no content of the first event of the time': [cutToTime(edges, { hide: [2] }), 2],
    'no content of the last event of the time': [cutToTime(edges, { hide: [3] }), 3],
    'content and leaf of one event': [
      withFile(cut(), withheldPath(0), () => cut({ hide: [2] }).get(withheldPath(0))),
      2,
    ],
    'a leaf that says another time': [
      withFile(cut(), withheldPath(0), (bytes) => {
        const changed = Buffer.from(bytes);
        changed.writeBigInt64BE(0n, 2 + 50);
        return changed;
      }),
      1,
    ],
    'a leaf of another source': [withFile(ofSource(), withheldPath(0), () => cut().get(withheldPath(0))), 1],
    'leaves in another order': [
      withFile(cut(), withheldPath(0), (bytes) => Buffer.concat([bytes, bytes])),
      withheldPath(0),
    ],
    'leaves that are cut off': [withFile(cut(), withheldPath(0), (bytes) => bytes.subarray(0, -1)), withheldPath(0)],
    'leaves beyond the tree': [
      withFile(cut(), withheldPath(65_536), () => cut().get(withheldPath(0))),
      withheldPath(65_536),
    ],
    'leaves without content in a bundle of all times': [
      withFile(whole, withheldPath(0), () => cut().get(withheldPath(0))),
      withheldPath(0),
    ],
    'no file that says which time': [withFile(cut(), BUNDLE_TIME_PATH, () => undefined), 1],
    'a time that ends as it begins': [stating('{"since":"2026-01-01T00:00:00Z","before":"2026-01-01T00:00:00.0Z"}')],
    'a time that ends before it begins': [stating('{"since":"2026-02-01T00:00:00Z","before":"2026-01-01T00:00:00Z"}')],
    'a time with another field': [stating('{"since":null,"before":null,"more":1}'), BUNDLE_TIME_PATH],
    'a time without one field': [stating('{"since":"2026-01-01T00:00:00Z"}'), BUNDLE_TIME_PATH],
    'a time with a field twice': [
      stating('{"since":"2026-01-01T00:00:00Z","since":"2026-01-02T00:00:00Z","before":null}'),
      BUNDLE_TIME_PATH,
    ],
    'a time in another zone': [stating('{"since":"2026-01-01T00:00:00+01:00","before":null}'), BUNDLE_TIME_PATH],
    'a time that is empty': [stating(''), BUNDLE_TIME_PATH],
    'a later content that is not here, of an event of the time': [
      withFile(cutToTime(richBundle()), 'changes.ndjson', () => Buffer.alloc(0)),
      250,
    ],
  }),
  { name: 'of a time, and a kept checkpoint', files: cut(), anchors: kept(manyTimes()) },
];
