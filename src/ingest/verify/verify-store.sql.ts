import type { Pool } from 'pg';
import { db, storable } from '../../postgres/queries.ts';
import { feedHead } from '../../postgres/tables/events.ts';
import type { Page } from '../entries/page.ts';
import type { Range } from '../planning/coverage.ts';
import type { KindPolicy, SourceKey } from '../planning/source.ts';
import {
  contentDiffers,
  dedupeBounds,
  inPageForm,
  type PageForm,
  pageEntries,
} from '../sync/commit/commit-page.sql.ts';
import { kindPolicyOf } from '../sync/plan-jobs.ts';
import {
  MAX_EXAMPLES,
  nothingCompared,
  type PageComparison,
  type SourceVerification,
  type Unserved,
} from './comparison.ts';

/** $1 kind, $2 source id, $3 page, $4 and $5 the times between which known entries are looked for, $6 and $7 the window,
 * $8 and $9 the section of it. */
const compareStatement = (form: PageForm): string => `
with page as materialized (${pageEntries(form, '$3')}),
compared as materialized (
  select p.id, p.action_time, known.positions, known.positions is not null and known.differs and not exists (
      select from audit_event_changes c
      where c.source_kind = $1 and c.source_id = $2 and c.event_id = p.id
        and c.raw_sha256 = encode(sha256(convert_to(p.raw::text, 'UTF8')), 'hex')) as changed
  from page p
  left join lateral (
    select array_agg(e.position) as positions, bool_and(${contentDiffers('p', 'e')}) as differs from audit_events e
    where e.source_kind = $1 and e.source_id = $2 and e.id = p.id
      and (e.action_time between $4 and $5 or e.action_time = '-infinity')) known on true
  where p.action_time >= to_timestamp($6::float8 / 1000) and p.action_time < to_timestamp($7::float8 / 1000)
    or p.action_time = '-infinity'),
placed as materialized (
  select *, case when action_time = '-infinity' then 'timeless'
    when action_time >= to_timestamp($8::float8 / 1000) and action_time < to_timestamp($9::float8 / 1000) then 'here'
    else 'beside' end as place from compared)
select place, array(select unnest(p.positions)::float8 from placed p where p.place = places.place) as positions,
  array(select distinct id from placed p where p.place = places.place and positions is null) as missing,
  array(select distinct id from placed p where p.place = places.place and changed) as changed
from (select distinct place from placed) places`;

const compareStatements = { plain: compareStatement('plain'), careful: compareStatement('careful') } as const;

/** $1 kind, $2 source id, $3 and $4 the range. Entries without a time belong to no range. */
const inRange = `source_kind = $1 and source_id = $2 and action_time >= to_timestamp($3::float8 / 1000)
  and action_time < to_timestamp($4::float8 / 1000)`;

const unservedStatement = `
select count(*)::integer as entries, (array_agg(id order by position))[1:${MAX_EXAMPLES}] as ids,
  (extract(epoch from min(action_time)) * 1000)::float8 as oldest, (extract(epoch from max(action_time)) * 1000)::float8 as newest
from audit_events e
where ${inRange} and position <= $5
  and not exists (select from unnest($6::bigint[]) as seen (position) where seen.position = e.position)`;

/** None of it writes. Ids are those that the store would give. */
export const createVerifyStore = (pool: Pool, kinds: readonly KindPolicy[]) => ({
  headPosition: async (): Promise<number> => {
    const [head] = await db(pool).select({ position: feedHead.position }).from(feedHead);
    return head?.position ?? 0;
  },
  countStored: async (source: SourceKey, range: Range): Promise<number> => {
    const { rows } = await pool.query<{ stored: number }>(
      `select count(*)::float8 as stored from audit_events where ${inRange}`,
      [source.kind, source.id, range.fromMs, range.toMs],
    );
    return rows[0]?.stored ?? 0;
  },
  /** Entries with a time in the window that contains the section, and those without one. */
  comparePage: async (source: SourceKey, page: Page, window: Range, section: Range): Promise<PageComparison> => {
    const compared = await inPageForm(pool, page, async (form, pageText) => {
      const ranges = [window.fromMs, window.toMs, section.fromMs, section.toMs];
      const parameters = [source.kind, source.id, pageText, ...dedupeBounds(page), ...ranges];
      return await pool.query<ComparedRow>(compareStatements[form], parameters);
    });
    const of = (place: ComparedRow['place']) => compared.rows.find((row) => row.place === place) ?? nothingCompared;
    return { here: of('here'), beside: of('beside'), timeless: of('timeless') };
  },
  /** Stored up to position `head`, and not among those seen. */
  findUnserved: async (source: SourceKey, range: Range, seen: ReadonlySet<number>, head: number): Promise<Unserved> => {
    const parameters = [source.kind, source.id, range.fromMs, range.toMs, head, `{${[...seen].join(',')}}`];
    const { rows } = await pool.query<UnservedRow>(unservedStatement, parameters);
    const { entries = 0, ids = null, oldest = null, newest = null } = rows[0] ?? {};
    if (oldest === null || newest === null) return { entries, ids: ids ?? [], within: undefined };
    // Times are stored to the microsecond.
    return { entries, ids: ids ?? [], within: { fromMs: Math.floor(oldest), toMs: Math.floor(newest) + 1 } };
  },
  hasOtherFilters: async (source: SourceKey): Promise<boolean> => {
    const { rowCount } = await pool.query(
      `select from coverage where source_kind = $1 and source_id = $2 and filter_hash <> $3
       union all select from lanes where source_kind = $1 and source_id = $2 and filter_hash <> $3 limit 1`,
      [source.kind, source.id, kindPolicyOf({ kinds }, source).filterHash],
    );
    return (rowCount ?? 0) > 0;
  },
});

export type VerifyStore = ReturnType<typeof createVerifyStore>;

interface ComparedRow {
  readonly place: keyof PageComparison;
  readonly positions: readonly number[];
  readonly missing: readonly string[];
  readonly changed: readonly string[];
}

interface UnservedRow {
  readonly entries: number;
  readonly ids: readonly string[] | null;
  readonly oldest: number | null;
  readonly newest: number | null;
}

/** How many sources, and ids of each, are kept with their differences. */
const MAX_SOURCES = 100;
const MAX_IDS = 5;
const MAX_FAILURE = 300;

export interface VerificationRun {
  readonly window: Range;
  readonly beganAt: Date;
  readonly fix: boolean;
  readonly by: string | undefined;
  readonly results: readonly SourceVerification[];
}

/** Stored in the table checks. Rejects if the account may not. */
export const noteVerification = async (pool: Pool, run: VerificationRun): Promise<void> => {
  await pool.query('select orgtrail_note_verification($1::jsonb)', [JSON.stringify(runOf(run), storable)]);
};

const runOf = ({ window, beganAt, fix, by, results }: VerificationRun) => ({
  since: new Date(window.fromMs),
  before: new Date(window.toMs),
  beganAt,
  fixes: fix,
  by,
  counts: { sources: results.length, ...totalsOf(results) },
  findings: results.filter(differs).slice(0, MAX_SOURCES).map(findingOf),
});

export const totalsOf = (results: readonly SourceVerification[]) => {
  const sum = (of: (result: SourceVerification) => number): number => results.reduce((all, each) => all + of(each), 0);
  return {
    compared: sum(({ findings }) => findings.compared),
    missing: sum(({ findings }) => findings.missing.entries),
    extra: sum(({ findings }) => findings.extra),
    changed: sum(({ findings }) => findings.changed.entries),
    fixedMissing: sum(({ findings }) => findings.missing.fixed),
    fixedChanged: sum(({ findings }) => findings.changed.fixed),
    storedUnderOtherFilters: sum(({ otherFilters }) => otherFilters),
    failed: sum(({ failure }) => Number(failure !== undefined)),
  };
};

const differs = ({ findings, failure }: SourceVerification): boolean =>
  findings.missing.entries + findings.extra + findings.changed.entries > 0 || failure !== undefined;

const findingOf = ({ source, findings, failure, comparedUntilMs }: SourceVerification) => ({
  kind: source.kind,
  id: source.id,
  missing: findings.missing.entries,
  extra: findings.extra,
  changed: findings.changed.entries,
  fixed: findings.missing.fixed + findings.changed.fixed,
  ids: [...findings.missing.ids, ...findings.changed.ids, ...findings.extraIds].slice(0, MAX_IDS),
  ...(failure === undefined
    ? {}
    : { failure: failure.slice(0, MAX_FAILURE), comparedUntil: new Date(comparedUntilMs) }),
});
