/** The rare paths. Each must be reached in a run of many seeds: one that is not is not tested. */
export const sometimes = [
  'fenced write',
  'ambiguous commit',
  'statement of a dead process applied',
  'late entry found by a settle pass',
  'entry later than all passes',
  'lease stolen',
  'lease of a dead process released',
  'lease lost',
  'cursor lost',
  'repeated cursor',
  'end in doubt proven',
  'window narrowed',
  'window too wide',
  'poison page',
  'hole found',
  'page cut in silence',
  'short answer',
  'entry redacted',
  'cycle of cursors',
  'wrong count',
  'count that is always wrong',
  'wrong date',
  'filter changed',
  'crash at an answer of the database',
  'crash at an answer of Cloudflare',
  'crash in between',
  'pause longer than a lease',
  'request of a paused process overtaken',
  'database away',
  'refused organization restored',
  'organization gone and restored',
  'missed organization whose log answers',
  'organization found below another',
  'discovery taken over from a dead process',
  'listing of a dead process released',
  'graceful stop',
  'window scrubbed',
  'what was removed by hand is stored again',
  'answer names an error',
  'index filled after the start',
  'window ignored',
  'direction ignored',
  'wide window answered with nothing',
  'window cut to a part',
  'wide window answered from an older copy',
  'page sorted by itself',
  'empty page with a cursor that leads nowhere',
  'page of one entry comes again',
  'sync completed',
  'backfill completed',
] as const;

export type Sometimes = (typeof sometimes)[number];

export type Counts = Map<Sometimes, number>;

/** Adds what one run reached to what all have. */
export const sum = (all: Counts, of: ReadonlyMap<Sometimes, number>): void => {
  for (const [what, count] of of) all.set(what, (all.get(what) ?? 0) + count);
};

/** How often each was reached. */
export const countsTable = (counts: Counts): string =>
  sometimes.map((what) => `${String(counts.get(what) ?? 0).padStart(9)}  ${what}`).join('\n');
