import { describe, expect, it } from 'vitest';
import type { EventQuery } from '../../../src/search/conditions/event-query.ts';
import { conditionsOf, type TimeSlice } from '../../../src/search/conditions/search-conditions.sql.ts';
import type { SearchCursor } from '../../../src/search/search-cursor.ts';

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const allTime: TimeSlice = { low: undefined, high: undefined };
const [early, late] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'];
const cursorOf = (direction: SearchCursor['direction']): SearchCursor => ({
  direction,
  time: '2026-01-03 00:00:00+00',
  position: 7,
});
/** Those of time: what was never given out is left out by any search. */
const partsOf = (query: Partial<EventQuery>, cursor: SearchCursor | undefined, slice: TimeSlice): string[] =>
  conditionsOf({ ...everything, ...query }, cursor, slice)
    .sql.split(' and ')
    .filter((part) => !part.startsWith('(position '));

// What comes out of PostgreSQL is tested in search-pieces.test.ts, but only version 17 goes wrong where these do not hold.
describe('the conditions of a search', () => {
  it('have a cursor as the only upper bound that an index can use', () => {
    const parts = partsOf({ since: early, before: late }, cursorOf('older'), { low: early, high: undefined });
    expect(parts).toEqual([
      'action_time >= $1::timestamptz',
      'action_time >= $2::timestamptz',
      '(action_time < $3::timestamptz) is true',
      'action_time <= $4::timestamptz',
      '(action_time, position) < ($4::timestamptz, $5::bigint)',
    ]);
  });

  it('leave the cursor out where the piece lies behind it', () => {
    const upper = ['action_time < $1::timestamptz', 'action_time < $2::timestamptz'];
    expect(partsOf({ before: late }, cursorOf('older'), { low: undefined, high: early })).toEqual(upper);
    expect(partsOf({ before: late }, undefined, { low: undefined, high: early })).toEqual(upper);
    const lower = ['action_time >= $1::timestamptz', 'action_time >= $2::timestamptz'];
    expect(partsOf({ since: early }, cursorOf('newer'), { low: late, high: undefined })).toEqual(lower);
  });

  it('have the bounds of the time beside a cursor that goes up', () => {
    expect(partsOf({ since: early, before: late }, cursorOf('newer'), allTime)).toEqual([
      'action_time >= $1::timestamptz',
      'action_time < $2::timestamptz',
      'action_time >= $3::timestamptz',
      '(action_time, position) > ($3::timestamptz, $4::bigint)',
    ]);
  });
});
