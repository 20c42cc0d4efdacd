import { describe, expect, it } from 'vitest';
import { Report } from '../../../../src/evidence/verify/report.ts';
import {
  type Draw,
  drawnPlaces,
  probability,
  readFetched,
  seedOf,
  type Unit,
  unitsOf,
} from '../../../../src/evidence/verify/sample.ts';
import { openBundle, verifyBundle } from '../../../../src/evidence/verify/verify-bundle.ts';
import vectors from '../../../fixtures/evidence/vectors.json' with { type: 'json' };
import { at, EVERYTHING, readerOf, TestLog } from '../../../support/evidence/bundle-builder.ts';

it('draws as the specification says', () => {
  const { sample, checkpoint } = vectors;
  const seed = seedOf(checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1), sample.word);
  expect(seed.toString('hex')).toBe(sample.seed);
  expect(drawnPlaces(seed, sample.units, 5)).toEqual(sample.first_five);
});

it.each([
  [60, 5, 44.6],
  [60, 20, 90.9],
  [60, 25, 95.1],
  [10, 20, 31.7],
  [1, 40, 7.4],
  [1, 540, 100],
])('%i days of 540 that lack something are found by %i with %f %%', (lacking, drawn, percent) => {
  expect(100 * probability(540, lacking, drawn)).toBeCloseTo(percent, 1);
});

it('finds 63 of 3,048 hidden entries as often as it says', () => {
  const random = (start: number) => {
    let seed = start;
    return () => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
  };
  let [found, expected] = [0, 0];
  for (let draw = 0; draw < 100; draw += 1) {
    const next = random(draw + 1);
    const lacking = new Set(Array.from({ length: 63 }, () => Math.floor(next() * 540)));
    const places = drawnPlaces(seedOf('checkpoint\n', String(draw)), 540, 20);
    found += Number(places.some((place) => lacking.has(place)));
    expected += probability(540, lacking.size, 20);
  }
  // 91 of 100 are expected, with a deviation of 2.9.
  expect(Math.abs(found - expected)).toBeLessThan(9);
});

/** Five days, with an event on each. */
const log = () => {
  const made = new TestLog();
  made.begin();
  made.source(1);
  for (let day = 4; day < 9; day += 1) made.event(1, { day });
  made.coverage(1, [[at(3), at(11)]], { again: [[at(4), at(9)]] });
  return made;
};
const days = (units: readonly Unit[]) => units.map(({ day }) => day.slice(-2));

it('has the days that were read again, or once, and none of a dropped month', async () => {
  const units = async (made: TestLog, once: boolean) => {
    const opened = await openBundle(new Report(), readerOf(made.bundle()));
    return opened === undefined ? [] : days(unitsOf(opened.coverage, opened.statements, once));
  };
  expect(await units(log(), false)).toEqual(['04', '05', '06', '07', '08']);
  expect(await units(log(), true)).toEqual(['03', '04', '05', '06', '07', '08', '09', '10']);
  const dropped = log();
  dropped.drop([[2, 3]]);
  expect(await units(dropped, false)).toEqual([]);
});

const ALL: Draw = { days: undefined, word: 'w', once: false };

describe('compares', () => {
  const entry = (n: number, more: object = {}) => ({
    id: `e-${n}`,
    action: { time: at(n + 3) },
    organization: { id: 'organization-1' },
    ...more,
  });
  const answer = (result: readonly unknown[], more: object = {}) =>
    JSON.stringify({ success: true, errors: [], result, ...more });
  const compare = async (text: string, draw: Draw | 'none' = ALL) => {
    const report = await verifyBundle(readerOf(log().bundle(EVERYTHING)), {
      compare: { files: [readFetched(text)], draw: draw === 'none' ? undefined : draw },
    });
    return report.faults.map(({ message }) => message);
  };
  const all = [1, 2, 3, 4, 5].map((n) => entry(n));

  it.each<[string, string, readonly unknown[]]>([
    ['what is the same', answer(all), []],
    ['entries behind each other', all.map((one) => JSON.stringify(one, null, 2)).join('\n'), []],
    ['answers behind each other', all.map((one) => answer([one])).join(''), []],
    [
      'a page and its next one',
      `${answer(all.slice(0, 2), { result_info: { cursor: 'c' } })}\n${answer(all.slice(2))}`,
      [],
    ],
    [
      'what is missing here',
      answer([...all, entry(9, { action: { time: at(6) } })]),
      [expect.stringContaining('only at Cloudflare, missing here: e-9')],
    ],
    [
      'what is only here',
      answer(all.slice(1)),
      [expect.stringContaining('only here: Cloudflare has deleted it, or it was invented: e-1')],
    ],
    [
      'other content',
      answer([...all.slice(1), entry(1, { more: 1 })]),
      [expect.stringContaining('other content: e-1')],
    ],
  ])('%s', async (_, text, faults) => {
    expect(await compare(text)).toEqual(faults);
  });

  it('without a draw, too: an entry at midnight does not say that all of its day was fetched', async () => {
    const first = entry(1, { action: { time: '2026-01-04T10:00:00Z' }, more: 1 });
    for (const [text, faults] of [
      [answer([entry(2)]), []],
      [answer([entry(2, { more: 1 })]), [expect.stringContaining('other content: e-2')]],
      [answer([entry(9)]), [expect.stringContaining('missing here: e-9')]],
      [answer([first]), [expect.stringContaining('other content: e-1')]],
      [
        answer([{ ...first, id: 'e-8' }]),
        [expect.stringContaining('missing here: e-8'), expect.stringContaining('only here')],
      ],
    ] as const)
      expect(await compare(text, 'none')).toEqual(faults);
  });

  it.each([
    ['a next page that is not there', answer(all, { result_info: { cursor: 'c' } })],
    ['no success', answer(all, { success: false })],
    ['errors', answer(all, { errors: [{}] })],
    ['what is cut off', answer(all).slice(0, -1)],
    ['no entry', '[1]'],
  ])('nothing with %s', (_, text) => {
    expect(() => readFetched(text)).toThrow();
  });
});
