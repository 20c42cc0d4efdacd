import { keyOf, type SourceKey, type SourceState } from '../../../src/ingest/planning/source.ts';
import type { SourceSurvey } from '../../../src/ingest/sync/ports.ts';

/** What the statement over all sources says of one: no more of its state than that statement selects. */
export const surveyOf = (state: SourceState, version: string): SourceSurvey => {
  const { kind, id, refused, heldElsewhere, restMs, eventRate, largestPage, coverage, lanes } = state;
  const [firstRead = []] = coverage;
  const [oldest, newest] = [firstRead[0], firstRead.at(-1)];
  return {
    kind,
    id,
    refused,
    heldElsewhere,
    restMs,
    eventRate,
    largestPage,
    version,
    readSpan: oldest && newest && { fromMs: oldest.fromMs, toMs: newest.toMs },
    walking: lanes.live?.walk !== undefined,
  };
};

/** The part of a store that a plan reads, over these sources. */
export const storeOfSources = (load: () => readonly SourceState[]) => ({
  surveySources: async (take: (survey: SourceSurvey) => void) => {
    for (const state of load()) take(surveyOf(state, 'the only one'));
  },
  loadSourcesOf: async (keys: readonly SourceKey[]) => {
    const wanted = new Set(keys.map(keyOf));
    return load().filter((state) => wanted.has(keyOf(state)));
  },
});
