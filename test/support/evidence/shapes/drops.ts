import type { StatementOf } from '../../../../src/evidence/journal/statement.ts';
import { begun, dropDecember, type TestHistory, testEvent } from '../test-history.ts';
import { failing, holding, type Shape } from './shape.ts';

type Drop = Partial<StatementOf<'drop'>>;
type Hold = Partial<StatementOf<'hold'>>;

const december = (count = 10): TestHistory => {
  const history = begun();
  for (let number = 0; number < count; number += 1) history.append(testEvent(number, 'o1', '2025-12'));
  return history;
};
const dropped = (other: Drop): TestHistory => dropDecember(december(), other);
const inRetention = (retention: string, other: Drop = {}): TestHistory => dropped({ retention, ...other });
/** In two parts, at [1, 4) and [4, 11), the second with other fields. */
const inParts = (second: Drop | undefined, first: Drop = {}): TestHistory => {
  const history = dropDecember(december(), { positions: [[1, 4]], part: 1, parts: 2, ...first });
  if (second !== undefined) dropDecember(history, { positions: [[4, 11]], part: 2, parts: 2, ...second });
  return history;
};

const hold = (other: Hold): Omit<StatementOf<'hold'>, 'at' | 'tree'> => ({
  type: 'hold',
  action: 'added',
  id: 1,
  organization_id: null,
  account_id: null,
  since: null,
  before: null,
  reason: 'case',
  created_by: null,
  created_as: 'dba',
  created_at: '2026-02-01T00:00:00Z',
  released_by: null,
  released_as: null,
  released_at: null,
  ...other,
});
/** Holds, then a drop of one event of December. */
const held = (holds: readonly Hold[], other: Drop = {}): TestHistory => {
  const history = december(1);
  for (const one of holds) history.state(hold(one));
  return dropDecember(history, other);
};
const released = { action: 'released', released_at: '2026-02-02T00:00:00Z' } as const;
const before = '2026-02-28T00:00:00Z';

const jump = (history: TestHistory, from: number, to: number, id = 1_001): TestHistory =>
  history.state({ type: 'jump', id, positions: [[from, to]], old_timeline: 'a', new_timeline: 'b', found_at: before });
const jumped = (): TestHistory => jump(december().append(undefined, undefined, testEvent(99, 'o1', '2026-01')), 11, 13);
const droppedHole = (): TestHistory => {
  const history = begun(20).append(undefined, testEvent(1, 'o1', '2025-12'));
  return dropDecember(history, { positions: [[1, 3]], events: 2 }).stateCoverage('o1');
};
/** Without the numbers of sources, how many of the dropped are of a source is only known within limits. */
const withoutSources = (events: number, source = 'o1') => {
  const history = dropped({}).append(testEvent(1, 'o2', '2026-01'));
  const files = history.stateCoverage(source, { events }).bundle();
  files.delete('events/sources/000.p/11');
  return files;
};
const ofSources = (other: Hold, sources: readonly string[]): TestHistory => {
  const history = begun();
  for (const [number, id] of sources.entries()) history.append(testEvent(number, id, '2025-12'));
  return dropDecember(history.state(hold(other)));
};
/** An event of an account, dropped while this was held. */
const ofAccount = (other: Hold): TestHistory =>
  dropDecember(
    begun()
      .append({ ...testEvent(1, 'o1', '2025-12'), sourceKind: 'account' })
      .state(hold(other)),
  );

/** What was dropped, left out and held. */
export const dropShapes: readonly Shape[] = [
  ...holding({
    dropped: dropped({}),
    'dropped at once, long before it was stated': dropped({ dropped_at: '2026-01-29T00:00:00Z' }),
    'dropped in two parts': inParts({}),
    'dropped in two parts, then again': dropDecember(inParts({}).append(testEvent(70, 'o1', '2025-12')), {
      positions: [[11, 12]],
      events: 1,
    }),
    'of a retention of 59 days': inRetention('59 days'),
    'of a month': inRetention('1 mon'),
    'of two months': inRetention('2 mons'),
    'of a month and 31 days, which PostgreSQL counts back from 1 March': inRetention('1 mon 31 days'),
    'of a month and 58 days, at the end of March': inRetention('1 mon 58 days', { at: '2026-03-31T00:00:00Z' } as Drop),
    'of hours': inRetention('1416:00:00'),
    'of a time that is negative': inRetention('2 mons 1 day -24:00:00'),
    'of a retention that is none': inRetention('some'),
    'without positions': dropDecember(begun(), { positions: [], events: 0 }),
    'a hold of a part at the end': held([{ before: '2025-12-31T23:59:59Z' }]),
    'a hold of a part at the beginning': held([{ since: '2025-12-01T00:00:01Z' }]),
    'a hold that was released': held([{}, released]),
    'a hold that was released at that moment': held([{}, { ...released, released_at: '2026-02-27T00:00:00Z' }], {
      dropped_at: '2026-02-27T00:00:00.000Z',
    }),
    'a hold of before': held([{ before: '2025-12-01T00:00:00Z' }]),
    'a hold of after': held([{ since: '2026-01-01T00:00:00Z' }]),
    'a hold that is younger': held([{ created_at: '2026-03-02T00:00:00Z' }]),
    'a hold that was added between the drop and its statement': held([{ created_at: '2026-02-28T10:00:00Z' }], {
      dropped_at: before,
    }),
    'a hold of another organization': held([{ organization_id: 'o2' }]),
    'a hold of an account': held([{ account_id: 'o1' }]),
    'a hold of an organization and an account': held([{ organization_id: 'o1', account_id: 'a' }]),
    'a hold of another account': ofAccount({ account_id: 'o2' }),
    'a hold of an organization and an account, and events of the account': ofAccount({
      organization_id: 'o1',
      account_id: 'o1',
    }),
    'a hold in a year of five digits': held([{ before: '10000-01-01T00:00:00Z', since: '2026-01-01T00:00:00Z' }]),
    'a jump': jumped(),
    'a jump that is not hashed yet': jump(december(), 11, 1_000_011),
    'a jump that is hashed in part': jump(december().append(undefined), 11, 13),
    'a dropped event that was never hashed': droppedHole(),
    'sources that are not known': withoutSources(10),
  }),
  ...failing({
    'another count': [dropped({ events: 9 }), '2025-12'],
    'beyond the tree': [dropped({ positions: [[1, 12]], events: 11 }), 'tree'],
    'a position twice in a drop': [
      dropped({
        positions: [
          [1, 6],
          [5, 11],
        ],
        events: 11,
      }),
      5,
    ],
    'a position in two drops': [dropDecember(dropped({}), { positions: [[10, 11]], events: 1 }), 10],
    'part 2 alone': [dropped({ part: 2, parts: 2 }), '2025-12'],
    'part 1 alone': [dropped({ part: 1, parts: 2 }), '2025-12'],
    'part 1 of many': [inParts(undefined), '2025-12'],
    'parts of two numbers': [inParts({ parts: 3 }), '2025-12'],
    'parts of two months': [inParts({ month: '2025-11' }), '2025-12'],
    'parts of two counts': [inParts({ events: 7 }), '2025-12'],
    'part 1 twice': [inParts({ part: 1 }), '2025-12'],
    'a part of another retention': [inParts({ retention: '3 years' }), '2025-12'],
    'an empty range': [dropped({ positions: [[4, 4]] } as Drop), 1],
    'of a retention of 60 days': [inRetention('60 days'), '2025-12'],
    'of a year and two months': [inRetention('1 year 2 mons'), '2025-12'],
    'of three months': [inRetention('3 mons'), '2025-12'],
    'of a month and 32 days': [inRetention('1 mon 32 days'), '2025-12'],
    'of a month and 59 days, at the end of March': [
      inRetention('1 mon 59 days', { at: '2026-03-31T00:00:00Z' } as Drop),
      '2025-12',
    ],
    'of three years': [inRetention('3 years'), '2025-12'],
    'of 59 days and an hour': [inRetention('59 days 01:00:00'), '2025-12'],
    'dropped too early, and stated later': [inRetention('59 days', { dropped_at: '2026-02-28T23:59:59Z' }), '2025-12'],
    'dropped later than it is stated': [inRetention('60 days', { dropped_at: '2026-04-01T00:00:00Z' }), '2025-12'],
    'events without a time': [dropped({ month: '-infinity' }), 'without a time'],
    'a month that there is not': [dropped({ month: '2025-13' } as Drop), 1],
    'against a hold': [held([{}]), 'hold'],
    'against a hold of the month': [held([{ since: '2025-12-01T00:00:00Z', before: '2026-01-01T00:00:00Z' }]), 'hold'],
    'against a hold to a fraction of a second': [
      held([{ created_at: '2026-03-01T00:00:00.5Z' }], { dropped_at: '2026-03-01T00:00:00.75Z' }),
      'hold',
    ],
    'against a hold that was released later': [
      held([{}, released], { dropped_at: '2026-02-01T12:00:00Z', retention: '1 day' }),
      'hold',
    ],
    'against the second hold': [held([{}, released, { id: 2 }]), 'hold'],
    'against a hold that is stated later': [dropDecember(december(1)).state(hold({})), 'hold'],
    'against a hold of the organization': [held([{ organization_id: 'o1' }]), 1],
    'against a hold of the account': [ofAccount({ account_id: 'o1' }), 1],
    'a drop that names a hold that no statement adds': [dropDecember(december(1), { holds: [3] }), '3'],
    'against a hold of one of the organizations': [ofSources({ organization_id: 'o2' }, ['o1', 'o2', 'o3']), 2],
    'a hold that is added twice': [
      held([{ created_at: '2026-04-01T00:00:00Z' }, { before: '2025-01-01T00:00:00Z' }]),
      '1',
    ],
    'a hold that is released twice': [held([{ since: '2026-01-01T00:00:00Z' }, released, released]), '1'],
    'a hold that is released only': [held([released]), '1'],
    'a hold that is released at no time': [held([{ since: '2026-01-01T00:00:00Z' }, { action: 'released' }]), '1'],
    'a jump over events': [jump(december(), 5, 7), 5],
    'a jump over dropped events': [jump(dropped({}), 5, 7), 5],
    'a jump twice': [jump(jumped(), 12, 14, 1_002), 12],
    'sources that are not known, and too many events': [withoutSources(11), '11'],
    'sources that are not known, and too few events': [withoutSources(0, 'o2'), 'o2'],
  }),
];
