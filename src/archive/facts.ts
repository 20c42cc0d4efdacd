/** What a stretch of a month holds: PostgreSQL computes it of its rows, DuckDB of an object that was read back. */
export interface StretchFacts {
  readonly events: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly idsSha256: string;
  readonly rawSha256: string;
  readonly columnsSha256: string;
}

/** What differs, as the end of a sentence; undefined: nothing. */
export const differenceOf = (found: StretchFacts, expected: StretchFacts): string | undefined => {
  if (found.events !== expected.events) return `has ${found.events} rows, not ${expected.events}`;
  if (found.firstPosition !== expected.firstPosition || found.lastPosition !== expected.lastPosition) {
    return `has positions ${found.firstPosition} to ${found.lastPosition}, not ${expected.firstPosition} to ${expected.lastPosition}`;
  }
  if (found.idsSha256 !== expected.idsSha256) return 'has other ids';
  if (found.rawSha256 !== expected.rawSha256) return 'has other raw texts';
  return found.columnsSha256 === expected.columnsSha256 ? undefined : 'has other columns';
};
