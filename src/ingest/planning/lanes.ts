/** Why a walk is made, the most urgent first: the live tail, late entries, history, and reading all of it again as a check. */
export const lanes = ['live', 'settle', 'backfill', 'scrub'] as const;
export type Lane = (typeof lanes)[number];
