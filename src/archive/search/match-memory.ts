import type { MatchedRows, MatchMemory } from '../../search/archived/matching-rows.ts';
import { RecentlyUsed } from '../history/recently-used.ts';

/** Of rows that were found, some dozen bytes each. */
const MAX_ROWS = 1_000_000;
/** What a row group weighs in which nothing was found. */
const GROUP_ROWS = 10;

export const createMatchMemory = (): MatchMemory =>
  new RecentlyUsed<string, MatchedRows>(MAX_ROWS, ({ rows }) => rows.length + GROUP_ROWS);
