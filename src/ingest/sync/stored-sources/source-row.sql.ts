import { type Row, selectList } from '../../../postgres/db.ts';
import { sources } from '../../../postgres/tables/sources.ts';
import type { Coverage, Range } from '../../planning/coverage.ts';
import type { KnownHole, LaneState } from '../../planning/lane.ts';
import type { Lane } from '../../planning/lanes.ts';
import type { SourceState } from '../../planning/source.ts';

type RangeRow = readonly [fromMs: number, toMs: number];

const { kind, id, eventRate, recentEventRate, largestPage } = sources;
const plainColumns = { kind, id, eventRate, recentEventRate, largestPage };

/** A source with its state, as `sourceColumns` selects it. */
export interface SourceRow extends Row<typeof plainColumns> {
  readonly organizationId: string | null;
  readonly refused: boolean;
  readonly heldElsewhere: boolean;
  readonly coverage: readonly (readonly [pass: number, ranges: readonly RangeRow[] | null])[];
  readonly unproven: readonly RangeRow[] | null;
  readonly readBefore: readonly RangeRow[] | null;
  readonly lanes: readonly { readonly lane: Lane; readonly state: LaneState; readonly rest_ms: number }[];
  readonly holes: readonly (Omit<KnownHole, 'range'> & { readonly range: RangeRow })[];
}

/** SQL: a time as milliseconds since 1970. Exact for coverage: only whole milliseconds are ever stored there. */
export const ms = (expression: string): string => `(extract(epoch from ${expression}) * 1000)`;

/** SQL: Cloudflare refuses the log. */
export const REFUSED = `(s.access = 'refused' or s.account_id is null and o.state = 'refused')`;

/** SQL: what a process may know: coverage, lanes and holes of its own filter set, whatever other processes read under. */
export const sourceColumns = (filterHash: string): string => `
  ${selectList('s', plainColumns)}, o.id as "organizationId",
  ${REFUSED} as refused,
  coalesce((select json_agg(json_build_array(c.pass, (
      select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r) from unnest(c.ranges) r)))
    from coverage c
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash}), '[]') as coverage,
  (select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r)
    from coverage c cross join lateral unnest(c.ranges - c.proven) r
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash} and c.pass = 0) as unproven,
  (select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r)
    from coverage c cross join lateral unnest(c.read_before) r
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = ${filterHash} and c.pass = 0) as "readBefore",
  coalesce((select json_agg(json_build_object('lane', l.lane, 'state', l.state,
      'rest_ms', greatest(0, ${ms('l.next_attempt_at - clock_timestamp()')})))
    from lanes l
    where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = ${filterHash}), '[]') as lanes,
  coalesce((select json_agg(json_build_object('pass', h.pass, 'range', json_build_array(${ms('h.since')}, ${ms('h.before')}),
      'reason', h.reason, 'due', h.next_attempt_at <= clock_timestamp()))
    from coverage_holes h
    where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = ${filterHash}), '[]') as holes`;

/** SQL: with what a source belongs to: an organization, or an account, and the organization that this belongs to. */
export const SOURCE_OWNERS = `left join accounts a on a.id = s.account_id
  left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)`;

const toRange = ([fromMs, toMs]: RangeRow): Range => ({ fromMs, toMs });

/** What a row says, as planning takes it. */
export const toSource = (stored: SourceRow): SourceState => {
  const {
    coverage: read,
    unproven,
    readBefore,
    lanes,
    holes,
    eventRate: perHour,
    recentEventRate: recentPerHour,
    ...row
  } = stored;
  const coverage: Coverage[] = [];
  for (const [pass, ranges] of read) coverage[pass] = (ranges ?? []).map(toRange);
  return {
    ...row,
    eventRate: perHour === null || recentPerHour === null ? undefined : { perHour, recentPerHour },
    coverage: Array.from(coverage, (ranges) => ranges ?? []),
    unproven: unproven?.map(toRange),
    readBefore: readBefore?.map(toRange),
    lanes: Object.fromEntries(lanes.map(({ lane, state }) => [lane, state])),
    restMs: Object.fromEntries(lanes.map(({ lane, rest_ms }) => [lane, rest_ms])),
    holes: holes.map(({ range, ...hole }) => ({ ...hole, range: toRange(range) })),
  };
};
