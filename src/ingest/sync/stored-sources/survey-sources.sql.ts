import type { Pool } from 'pg';
import { type Lane, lanes } from '../../planning/lanes.ts';
import type { SourceSurvey } from '../planning-round/planned-source.ts';
import { eachRow, type TextRow } from './each-row.sql.ts';
import {
  type FilteredKind,
  HELD_ELSEWHERE,
  PLAN_ORDER,
  type SourceScope,
  scopeParameters,
  wantedSources,
} from './load-sources.sql.ts';
import { ms, REFUSED } from './source-row.sql.ts';

const restOf = (lane: Lane): string =>
  `(max(${ms('l.next_attempt_at - clock_timestamp()')}) filter (where l.lane = '${lane}'))::float8`;

/**
 * Of the same sources as `loadSources`, in the same order, what changes without a commit, and a version that every commit, every failure and every
 * hole that becomes due changes. Each table is read once, in no order: that is a tenth of the time that all of their state takes.
 */
export const surveySources = async (
  pool: Pool,
  owner: string,
  kinds: readonly FilteredKind[],
  scope: SourceScope,
  take: (survey: SourceSurvey) => void,
): Promise<void> => {
  const joins = `left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = k.filter_hash and c.pass = 0
       left join moved on moved.kind = s.kind and moved.id = s.id and moved.filter_hash = k.filter_hash
       left join holed on holed.kind = s.kind and holed.id = s.id and holed.filter_hash = k.filter_hash`;
  await eachRow(
    pool,
    `with moved as (
       select l.source_kind as kind, l.source_id as id, l.filter_hash,
         bool_or(l.lane = 'live' and l.state ? 'walk') as walking, ${lanes.map((lane) => `${restOf(lane)} as ${lane}`).join(', ')}
       from lanes l where l.next_attempt_at > clock_timestamp() or l.lane = 'live' and l.state ? 'walk'
       group by l.source_kind, l.source_id, l.filter_hash),
     holed as (
       select h.source_kind as kind, h.source_id as id, h.filter_hash, count(*) as holes,
         count(*) filter (where h.next_attempt_at <= clock_timestamp()) as due
       from coverage_holes h group by h.source_kind, h.source_id, h.filter_hash)
     select s.kind, s.id,
       concat_ws('/', s.lease_epoch, s.commit_seq, extract(epoch from s.last_attempt_at), holed.holes, holed.due),
       ${REFUSED}, ${HELD_ELSEWHERE}, coalesce(moved.walking, false), s.event_rate, s.recent_event_rate, s.largest_page,
       ${ms('lower(c.ranges)')}::float8, ${ms('upper(c.ranges)')}::float8, ${lanes.map((lane) => `moved.${lane}`).join(', ')}
     from ${wantedSources(joins)}
     ${PLAN_ORDER}`,
    scopeParameters(owner, kinds, scope),
    (row) => take(toSurvey(row)),
  );
};

const toSurvey = (row: TextRow): SourceSurvey => {
  const [
    kind,
    id,
    version,
    refused,
    heldElsewhere,
    walking,
    perHour,
    recentPerHour,
    largestPage,
    fromMs,
    toMs,
    ...rests
  ] = row;
  if (typeof kind !== 'string' || typeof id !== 'string') throw new Error('a source has lost its key');
  return {
    kind,
    id,
    version: version ?? '',
    refused: refused === 't',
    heldElsewhere: heldElsewhere === 't',
    walking: walking === 't',
    eventRate:
      perHour == null || recentPerHour == null
        ? undefined
        : { perHour: Number(perHour), recentPerHour: Number(recentPerHour) },
    largestPage: Number(largestPage),
    readSpan: fromMs == null || toMs == null ? undefined : { fromMs: Number(fromMs), toMs: Number(toMs) },
    restMs: rests.every((rest) => rest === null) ? nothingRests : restsOf(rests),
  };
};

const nothingRests = {};

const restsOf = (rests: TextRow): SourceSurvey['restMs'] =>
  Object.fromEntries(lanes.map((lane, n) => [lane, Math.max(0, Number(rests[n] ?? 0))]));
