import type { Pool } from 'pg';

/** What belongs to orgtrail: the schema public, less the tables of months, which are named by the time of the test. */
const own = "(select oid from pg_namespace where nspname = 'public')";
const isMonth = (relation: string) => `${relation}::regclass::text ~ '^audit_events_[0-9]'`;
const columnName = (relation: string, number: string) =>
  `(select attname from pg_attribute where attrelid = ${relation} and attnum = ${number})`;

/** Each gives everything that the catalog has of a kind of object, a row for each: whatever differs between two schemas shows in one of them. */
const queries = [
  `select 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.reloptions, pg_get_userbyid(c.relowner), c.relacl, c.relreplident,
     pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid), c.relrowsecurity, am.amname
   from pg_class c left join pg_am am on am.oid = c.relam where c.relnamespace = ${own} and not ${isMonth('c.oid')}`,
  `select 'column', a.attrelid::regclass, row_number() over (partition by a.attrelid order by a.attnum), a.attname,
     format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attacl,
     a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid)
   from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where c.relnamespace = ${own} and c.relkind in ('r', 'p', 'v') and not ${isMonth('c.oid')} and a.attnum > 0 and not a.attisdropped`,
  `select 'constraint', conrelid::regclass, conname, contype, condeferrable, condeferred, convalidated, conparentid <> 0, conislocal, coninhcount,
     connoinherit, pg_get_constraintdef(oid)
   from pg_constraint where connamespace = ${own} and not ${isMonth('conrelid')}`,
  `select 'index', i.indrelid::regclass, i.indexrelid::regclass, i.indisunique, i.indisprimary, i.indisvalid, i.indisreplident, i.indisclustered,
     pg_get_indexdef(i.indexrelid), (select inhparent::regclass from pg_inherits where inhrelid = i.indexrelid)
   from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = ${own} and not ${isMonth('i.indrelid')}`,
  `select 'view', c.oid::regclass, pg_get_viewdef(c.oid, true) from pg_class c where c.relnamespace = ${own} and c.relkind in ('v', 'm')`,
  `select 'function', p.oid::regprocedure, pg_get_userbyid(p.proowner), p.proacl, p.procost, p.prorows, p.proleakproof, pg_get_functiondef(p.oid)
   from pg_proc p where p.pronamespace = ${own}`,
  `select 'trigger', t.tgrelid::regclass, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
   from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = ${own} and not t.tgisinternal and not ${isMonth('t.tgrelid')}`,
  `select 'comment', objoid::regclass, ${columnName('objoid', 'objsubid')}, description
   from pg_description where classoid = 'pg_class'::regclass and objoid >= 16384`,
  `select 'comment on a function', objoid::regprocedure, description
   from pg_description where classoid = 'pg_proc'::regclass and objoid >= 16384`,
  `select 'other comment', classoid::regclass, description
   from pg_description where classoid not in ('pg_class'::regclass, 'pg_proc'::regclass) and objoid >= 16384`,
  `select 'sequence', sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size
   from pg_sequences where schemaname = 'public'`,
  `select 'type', typname, typtype from pg_type where typnamespace = ${own} and typrelid = 0 and typelem = 0`,
  `select 'rule', ev_class::regclass, rulename from pg_rewrite r join pg_class c on c.oid = r.ev_class
   where c.relnamespace = ${own} and rulename <> '_RETURN'`,
  `select 'statistics', stxrelid::regclass, pg_get_statisticsobjdef(oid) from pg_statistic_ext`,
  `select 'schema', nspname, nspacl from pg_namespace where nspname in ('public', 'drizzle')`,
  `select 'extension', extname from pg_extension`,
  `select 'event trigger', evtname from pg_event_trigger`,
  `select 'rights by default', defaclobjtype, defaclacl from pg_default_acl`,
];

/** The schema of a database as texts, one for each of its objects, that are the same for the same schema, in whatever order it came about. */
export const dumpSchema = async (pool: Pool): Promise<readonly string[]> => {
  const objects: string[] = [];
  for (const text of queries) {
    const { rows } = await pool.query<unknown[]>({ text, rowMode: 'array' });
    objects.push(...rows.map((row) => row.map((value) => (value === null ? '' : String(value))).join(' | ')));
  }
  return objects.sort();
};
