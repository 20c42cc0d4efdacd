import { readdir, readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { effects, rowFunctions } from '../../../src/archive/parquet/query-duck.ts';
import { openFileArchive } from '../../support/archive/archive-world.ts';
import { queryWith } from '../../support/archive/run-query.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';

let query: ReturnType<typeof queryWith>;

const world = forAllTests(() => openFileArchive(3));
beforeAll(async () => {
  await world.drop();
  query = queryWith(world.env);
});

describe('a statement that is refused', () => {
  test.each([
    ["select * from read_csv('/etc/passwd')", /read_csv\(\) is not a function that a statement may read rows from/],
    ["select * from read_text('/etc/passwd')", /read_text\(\) is not a function/],
    ["select * from read_parquet('https://example.com/x.parquet')", /read_parquet\(\) is not a function/],
    ["select * from glob('/etc/*')", /glob\(\) is not a function/],
    ["from '/etc/passwd'", /does not exist/],
    ["from '/etc/passwd.csv'", /Permission Error: Cannot access file "\/etc\/passwd\.csv"/],
    ["from enable_logging(level := 'trace', storage := 'stdout')", /enable_logging\(\) is not a function/],
    [
      "with a as materialized (from enable_logging(storage := 'stdout')) select write_log('x', scope := 'database') from a",
      /(enable_logging\(\) is not a function|write_log\(\) does more)/,
    ],
    ['select * from audit_events, system.main."Enable_Logging"(\'x\')', /enable_logging\(\) is not a function/],
    ["explain analyze from enable_logging(storage := 'stdout')", /enable_logging\(\) is not a function/],
    [
      "from enable_profiling(format := 'json', save_location := '/tmp/orgtrail-query-out.json')",
      /enable_profiling\(\)/,
    ],
    [
      'with a as materialized (from disable_profiling()) select 1 limit (select count(*) from a)',
      /disable_profiling\(\)/,
    ],
    ['select (select count(*) from checkpoint())', /checkpoint\(\) is not a function/],
    ['select 1 union all select 2 from truncate_duckdb_logs()', /truncate_duckdb_logs\(\)/],
    ["summarize from query('select 1')", /query\(\) is not a function/],
    ["pivot (from enable_peg_parser()) on a in ('b') using count(*)", /enable_peg_parser\(\)/],
    ["from json_execute_serialized_sql(json_serialize_sql('select 1'))", /json_execute_serialized_sql\(\)/],
    ["select write_log('x', scope := 'database')", /write_log\(\) does more than compute a value/],
    ['select max(r) filter (where "WRITE_LOG"(\'x\') is null) from range(3) as t (r)', /write_log\(\) does more/],
    ['select * from range(1) order by sleep_ms(1)', /sleep_ms\(\) does more/],
    ["pragma table_info('audit_events')", /only a statement that reads/],
    ['pragma enable_profiling', /only a statement that reads/],
    ["copy (from audit_events) to '/tmp/orgtrail-query-out.csv'", /Permission Error|only a statement that reads/],
    ["copy audit_events to '/tmp/orgtrail-query-out.csv'", /Permission Error|only a statement that reads/],
    [
      "explain analyze copy (select 1) to '/tmp/orgtrail-query-out.csv'",
      /Permission Error|explain takes a statement that reads/,
    ],
    ['explain analyze create table t as select 1', /explain takes a statement that reads/],
    ['explain (analyze) create table t as select 1', /explain takes a statement that reads/],
    ['EXPLAIN\n analyze set threads = 1', /explain takes a statement that reads/],
    ['explain drop view audit_events', /explain takes a statement that reads/],
    ['explain analyze explain select 1', /Parser Error/],
    ['/* first */ explain analyze create table t as select 1', /explain must be its first word/],
    ['explain analyze /* then */ create table t as select 1', /explain takes a statement that reads/],
    ["attach '/tmp/orgtrail-query-out.db'", /only a statement that reads/],
    ["attach 'postgres://localhost/postgres' as p (type postgres)", /only a statement that reads/],
    ['install httpfs', /only a statement that reads/],
    ['load postgres', /only a statement that reads/],
    ["set memory_limit = '100GB'", /only a statement that reads/],
    ['set enable_external_access = true', /only a statement that reads/],
    ['reset lock_configuration', /only a statement that reads/],
    ['pragma enable_external_access', /Catalog Error|only a statement that reads/],
    ["export database '/tmp/orgtrail-query-out'", /Permission Error|only a statement that reads/],
    ['create table t as from audit_events', /only a statement that reads/],
    ['drop view audit_events', /only a statement that reads/],
    ['delete from audit_events', /Binder Error|only a statement that reads/],
    ["call enable_logging(storage_path = '/tmp/orgtrail-query-out')", /only a statement that reads/],
    ['prepare x as select 1', /only a statement that reads/],
    ["select 1; copy (select 1) to '/tmp/orgtrail-query-out.csv'", /there are 2 statements, not one/],
    ['', /there is no statement/],
    ['selec 1', /Parser Error: syntax error at or near "selec"/],
    ['select nosuch from audit_events', /Binder Error: Referenced column "nosuch" not found in FROM clause! Candidate/],
    ['select $1', /it has parameters/],
    ['select 1e400', /a number that no double can hold/],
    ["select 1e400 from read_text('/etc/passwd')", /a number that no double can hold/],
    ['select cast(id as integer) from audit_events', /Conversion Error/],
  ])('%s', async (sql, reason) => {
    const { code, stderr, stdout } = await query(sql);
    expect({ code, stdout: stdout.includes('"read"') }).toEqual({ code: 2, stdout: false });
    const [first = '', second = ''] = stderr.split('\n').filter((line) => !line.startsWith('read: '));
    expect(first).toMatch(/^orgtrail: the query: /);
    expect(first).toMatch(reason);
    expect(second).toMatch(/^Try: /);
    expect((await readdir('/tmp')).filter((name) => name.startsWith('orgtrail-query-out'))).toEqual([]);
  });

  test('cannot read other files of the temporary directory, nor write those of the archive', async () => {
    const settings = await query("select value from duckdb_settings() where name = 'temp_directory'");
    const directory = String(settings.rows[0]?.['value']);
    const files = await query("select value from duckdb_settings() where name = 'allowed_paths'");
    expect(JSON.stringify(files.rows)).toContain('archived-');
    expect(await query(`from glob('${directory}/../*')`)).toMatchObject({ code: 2 });
    expect(await query(`from read_text('${world.directory}/v1/x')`)).toMatchObject({ code: 2 });
    expect(
      (await query('select count(*) as events, count(distinct position) as positions from audit_events')).rows,
    ).toEqual([{ events: 6, positions: 6 }]);
  });

  test('ends with a line if it takes more memory than it may', async () => {
    const large = 'select len(list(hash(r))) from range(50000000) as t (r)';
    const { code, stderr } = await query(large, '--memory', '64');
    expect({ code, stderr }).toMatchObject(exits(2, 'it takes more memory or disk than it may'));
  });
});

describe('a statement that reads', () => {
  test.each([
    ['select r, row_number() over (order by r) from range(2) as t (r) where r in (select unnest([0, 1]))', 2],
    ['select list_transform([position], lambda p: p + 1), [x for x in [1, 2] if x > 1] from audit_events limit 2', 2],
    ["select value from json_each('[1, 2, 3]')", 3],
    ["select key from audit_events, json_tree(raw) where audit_events.id = 'february' limit 2", 2],
    ['with recursive t as (select 1 as a union all select a + 1 from t where a < 4) from t', 4],
    ['from histogram(audit_events, position, bin_count := 2) limit 1', 1],
    ['pivot (select position % 2 as odd from audit_events) on odd in (0, 1) using count(*)', 1],
    ["select columns(c -> c in ('id', 'position')) from audit_events limit 1", 1],
    ['select * from audit_events using sample 3 rows', 3],
    ['values (1), (2)', 2],
    ['show tables', 1],
    ['summarize select position from audit_events', 1],
    ["select distinct function_name from duckdb_functions() where function_name = 'write_log'", 1],
    ['explain select 1', 1],
    ['explain analyze select count(*) from audit_events', 1],
    ['explain (analyze, format json) with a as (select 1) from a, generate_series(1, 2)', 1],
    ["select 'from enable_logging()' as enable_logging -- write_log()", 1],
  ])('%s', async (sql, rows) => {
    const { code, stderr, rows: found } = await query(sql);
    expect({ code, found: found.length, stderr: code === 0 ? '' : stderr }).toEqual({
      code: 0,
      found: rows,
      stderr: '',
    });
  });

  test('may read rows from functions that exist and stand in the documents; all that give another value each time are known', async () => {
    const named = async (where: string) => {
      const sql = `select distinct function_name as name from duckdb_functions() where ${where} order by name`;
      return (await query(sql)).rows.map(({ name }) => String(name));
    };
    const forRows = await named("function_type in ('table', 'table_macro')");
    expect([...rowFunctions].filter((name) => !forRows.includes(name) && name !== 'unnest')).toEqual([]);
    const page = await readFile(new URL('../../../docs/query.md', import.meta.url), 'utf8');
    expect([...rowFunctions, ...effects].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
    const ids = ['current_connection_id', 'current_query', 'current_query_id', 'current_transaction_id'];
    const uuids = ['gen_random_uuid', 'uuid', 'uuidv4', 'uuidv7'];
    const harmless = [...ids, ...uuids, 'currval', 'error', 'nextval', 'random', 'setseed', 'stats'];
    expect(await named("stability = 'VOLATILE'")).toEqual([...harmless, ...effects].sort());
  });
});
