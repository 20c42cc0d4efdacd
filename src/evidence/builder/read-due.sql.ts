import type { Pool } from 'pg';
import { type DueFacts, MAX_HOLDS } from '../growth/due-statements.ts';

type Fact<K extends keyof DueFacts> = DueFacts[K][number];

/** So many in one commit. */
const MAX_CHANGES = 500;
/** Some kilobytes are enough to know a hold by; a statement has an end. */
const MAX_REASON = 4_000;

const isStated = (kind: string, ref: string): string =>
  `exists (select from evidence_journal j where j.generation = $1 and j.kind = '${kind}' and j.ref = ${ref})`;
/** Infinite times are null. */
const utc = (column: string): string =>
  `case when isfinite(${column}) then to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end`;

const drops = `
select d.id::float8 as id, to_char(d.month, 'YYYY-MM') as month, d.events::float8 as events, d.ids_sha256,
  justify_hours(d.retention)::text as retention, d.dropped_as as account,
  (select coalesce(json_agg(h.id order by h.id), '[]') from holds h
   where h.created_at <= d.dropped_at and (h.released_at is null or h.released_at > d.dropped_at)) as holds,
  (select json_agg(json_build_array(lower(r), upper(r)) order by lower(r)) from unnest(d.positions) r) as positions,
  ${utc('d.dropped_at')} as dropped_at
from retention_drops d where d.positions is not null and not ${isStated('drop', `d.id || '/1'`)} order by d.id limit 10`;

const jumps = `
select p.id::float8 as id, json_build_array(json_build_array(p.from_position + 1, p.to_position + 1)) as positions,
  p.old_timeline, p.new_timeline, ${utc('p.found_at')} as found_at
from position_jumps p where not ${isStated('jump', 'p.id::text')} order by p.id limit 100`;

const holds = `
select h.action, h.id::float8 as id, h.organization_id, h.account_id, ${utc('h.since')} as since, ${utc('h.before')} as before,
  left(h.reason, ${MAX_REASON}) as reason, left(h.created_by, 200) as created_by, h.created_as, ${utc('h.created_at')} as created_at,
  case when h.action = 'released' then left(h.released_by, 200) end as released_by,
  case when h.action = 'released' then h.released_as end as released_as,
  case when h.action = 'released' then ${utc('h.released_at')} end as released_at
from (
  select 'added' as action, * from holds union all select 'released', * from holds where released_at is not null) as h
where not ${isStated('hold', `h.id || '/' || h.action`)} order by h.id, h.action limit ${MAX_HOLDS}`;

const changes = `
select c.id::float8 as id, c.position::float8 as position, c.event_id,
  encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex') as raw_sha256, octet_length(c.raw::text) as length,
  ${utc('c.seen_at')} as seen_at
from audit_event_changes c where not ${isStated('change', 'c.id::text')} order by c.id limit ${MAX_CHANGES}`;

const timestamps = `
select a.anchor, encode(sha256(a.receipt), 'hex') as token_sha256,
  json_build_object('origin', l.origin, 'size', c.size, 'root', encode(c.root, 'base64')) as checkpoint
from evidence_anchors a join evidence_checkpoints c using (log, generation, size)
  join evidence_logs l on l.name = a.log and l.generation = a.generation
where a.log = 'journal' and a.generation = $1 and a.anchor like 'tsa:%' and a.receipt is not null
  and not ${isStated('timestamp', `a.anchor || '/' || a.size`)} order by a.size limit 100`;

const archived = `
select o.id::float8 as id, o.kind, to_char(o.month, 'YYYY-MM') as month, o.first_position::float8 as first_position,
  o.last_position::float8 as last_position, o.events::float8 as events, o.bytes::float8 as bytes, o.sha256, o.ids_sha256, o.raw_sha256,
  ${utc('o.written_at')} as written_at
from archive_objects o where not ${isStated('archive', 'o.id::text')} order by o.id limit 500`;

const schemas = `
select l.schema_version as from_version, orgtrail_schema_version() as to_version from evidence_logs l
where l.name = 'events' and l.generation = $1 and l.schema_version <> orgtrail_schema_version()`;

/** What has happened and is not in the journal of this generation. */
export const readDue = async (pool: Pool, generation: number): Promise<DueFacts> => {
  const read = async <K extends keyof DueFacts>(sql: string) =>
    (await pool.query<Fact<K> & object>(sql, [generation])).rows as unknown as readonly Fact<K>[];
  return {
    drops: await read<'drops'>(drops),
    jumps: await read<'jumps'>(jumps),
    holds: await read<'holds'>(holds),
    changes: await read<'changes'>(changes),
    timestamps: await read<'timestamps'>(timestamps),
    archived: await read<'archived'>(archived),
    schemas: await read<'schemas'>(schemas),
  };
};
