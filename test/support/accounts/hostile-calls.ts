import type { Pool } from 'pg';

/** A statement of an account that means harm, and what it is about. */
export interface HostileStatement {
  readonly what: string;
  readonly sql: string;
}

/** By PostgreSQL's name of a type: values at its ends, and ones that look as if all were well. */
const hostileValues: Readonly<Record<string, readonly string[]>> = {
  'timestamp with time zone': ["'infinity'", "'-infinity'", "now() + interval '1 hour'", 'now()', 'null'],
  interval: ["'0'", "'-1 day'", "'1 microsecond'", "'200000 years'", 'null'],
  bigint: ['9223372036854775807', '-9223372036854775808', '0', 'null'],
  integer: ['2147483647', '-2147483648', '0', 'null'],
  'double precision': ["'Infinity'", "'-Infinity'", "'NaN'", '1e300', '9e14', '-1e15', 'null'],
  text: ["''", "'gone'", "'infinity'", "repeat('x', 100000)", 'null'],
  boolean: ['true', 'false', 'null'],
  bytea: ["''", "sha256('x')", 'null'],
  jsonb: [
    "'{}'",
    "'null'",
    '\'{"failures": 0, "method": "scrub", "number": 1, "direction": "asc", "fromMs": -6e13, "toMs": 2e14}\'',
    'null',
  ],
  date: ["'0001-01-01'", "'infinity'", "'2025-01-01'", 'null'],
  tstzmultirange: ["'{[,)}'", "'{}'", 'null'],
};
const ofArrays: Readonly<Record<string, readonly string[]>> = {
  'text[]': [
    "'{}'",
    "'{beginning}'",
    "array['{[,)}']",
    "array(select 'x' || n from generate_series(1, 10000) n)",
    'null',
  ],
  'integer[]': ["'{}'", "'{0}'", "'{0,1,2,3,100}'", 'null'],
  'bigint[]': ["'{}'", "'{-1}'", "'{9223372036854775807}'", 'null'],
  'double precision[]': ["'{}'", "'{0}'", "'{1e300}'", "'{Infinity}'", "'{-1e15}'", 'null'],
  'json[]': ["'{}'", "array['{}'::json]", 'null'],
};

const valuesOf = (type: string): readonly string[] => hostileValues[type] ?? ofArrays[type] ?? ['null'];

/** Inserts, updates of each column to each hostile value, deletes and truncates, for every table of the schema, allowed or not. */
export const hostileWrites = async (pool: Pool): Promise<readonly HostileStatement[]> => {
  const { rows } = await pool.query<{ name: string; columns: { name: string; type: string }[] }>(
    `select c.oid::regclass::text as name,
       json_agg(json_build_object('name', quote_ident(a.attname), 'type', format_type(a.atttypid, null)) order by a.attnum) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition
     group by c.oid`,
  );
  return rows.flatMap(({ name, columns }) => [
    { what: `insert ${name}`, sql: `insert into ${name} default values` },
    { what: `delete ${name}`, sql: `delete from ${name}` },
    { what: `truncate ${name}`, sql: `truncate ${name}` },
    ...columns.flatMap((column) =>
      valuesOf(column.type).map((value) => ({
        what: `update ${name}`,
        sql: `update ${name} set ${column.name} = ${value}`,
      })),
    ),
  ]);
};

/** The true values of arguments, by the names of parameters: an account that may read the tables knows them. */
export type KnownArguments = Readonly<Record<string, string>>;

/**
 * Calls of every function of the schema that the account may execute: each argument in turn gets each hostile value, while the others have
 * what a daemon would pass; and once all have their first, second, … hostile value.
 */
export const hostileCalls = async (
  pool: Pool,
  account: string,
  known: KnownArguments,
): Promise<readonly HostileStatement[]> => {
  const { rows } = await pool.query<{ name: string; parameters: { name: string; type: string }[] }>(
    `select p.proname as name, coalesce((
         select json_agg(json_build_object('name', p.proargnames[n], 'type', format_type(t, null)) order by n)
         from unnest(p.proargtypes) with ordinality as u (t, n)), '[]') as parameters
     from pg_proc p
     where p.pronamespace = 'public'::regnamespace and has_function_privilege($1, p.oid, 'execute') and p.prorettype <> 'trigger'::regtype`,
    [account],
  );
  return rows.flatMap(({ name, parameters }) => {
    const honest = parameters.map((each) => known[each.name] ?? valuesOf(each.type)[0] ?? 'null');
    const call = (values: readonly string[]) => ({
      what: `call ${name}`,
      sql: `select * from ${name}(${values.map((value, index) => `${value}::${parameters[index]?.type}`).join(', ')})`,
    });
    const oneByOne = parameters.flatMap(({ type }, index) =>
      valuesOf(type).map((value) => call(honest.with(index, value))),
    );
    const together = [0, 1, 2, 3, 4].map((n) =>
      call(
        parameters.map(
          (each, index) =>
            (/^p_(kind|source_id|epoch|owner|commit_seq|name)$/.test(each.name)
              ? honest[index]
              : valuesOf(each.type)[n]) ?? 'null',
        ),
      ),
    );
    return [call(honest), ...oneByOne, ...together];
  });
};
