import type { SourceState } from '../../../src/ingest/planning/source.ts';
import type { SourceSurvey } from '../../../src/ingest/sync/planned-source.ts';
import type { SimulatedDatabase } from './database.ts';

/** What the statement over all sources says of one: no more of its state than that statement selects. */
export const surveyOf = (database: Pick<SimulatedDatabase, 'sources'>, state: SourceState): SourceSurvey => {
  const { kind, id, refused, heldElsewhere, restMs, eventRate, largestPage, coverage, lanes, holes } = state;
  const row = database.sources.get(id);
  const [firstRead = []] = coverage;
  const [oldest, newest] = [firstRead[0], firstRead.at(-1)];
  const due = holes.filter((hole) => hole.due).length;
  return {
    kind,
    id,
    refused,
    heldElsewhere,
    restMs,
    eventRate,
    largestPage,
    version: [row?.leaseEpoch, row?.commitSeq, row?.lastAttemptAtMs, holes.length, due].join('/'),
    readSpan: oldest && newest && { fromMs: oldest.fromMs, toMs: newest.toMs },
    walking: lanes.live?.walk !== undefined,
  };
};
