import { is, SQL } from 'drizzle-orm';
import { getTableConfig, getViewConfig, type PgColumn, PgDialect, PgTable, PgView } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test } from 'vitest';
import * as access from '../../../src/postgres/tables/access.ts';
import * as accounts from '../../../src/postgres/tables/accounts.ts';
import * as archive from '../../../src/postgres/tables/archive.ts';
import * as checks from '../../../src/postgres/tables/checks.ts';
import * as detections from '../../../src/postgres/tables/detections.ts';
import * as events from '../../../src/postgres/tables/events.ts';
import * as evidence from '../../../src/postgres/tables/evidence.ts';
import * as findings from '../../../src/postgres/tables/findings.ts';
import * as organizations from '../../../src/postgres/tables/organizations.ts';
import * as retention from '../../../src/postgres/tables/retention.ts';
import * as savedSearches from '../../../src/postgres/tables/saved-searches.ts';
import * as sinks from '../../../src/postgres/tables/sinks.ts';
import * as sources from '../../../src/postgres/tables/sources.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

const declared = [
  access,
  archive,
  checks,
  detections,
  evidence,
  events,
  accounts,
  findings,
  organizations,
  retention,
  savedSearches,
  sinks,
  sources,
].flatMap((subject) => Object.values(subject).flat());
const tables = declared.filter((one) => is(one, PgTable)).map(getTableConfig);
const views = declared.filter((one) => is(one, PgView)).map((view) => getViewConfig(view));

const database = databaseOfTests();
let stored: readonly Column[];
beforeAll(async () => {
  const { rows } = await database.pool.query<Column>(
    `select c.relname as relation, attname as column, format_type(atttypid, atttypmod) as type,
       case when c.relkind <> 'v' then attnotnull end as "notNull",
       case attidentity when 'a' then 'generated always as identity' else pg_get_expr(adbin, adrelid) end as default
     from pg_class c join pg_attribute on attrelid = c.oid and attnum > 0 and not attisdropped
       left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition`,
  );
  stored = rows;
});

describe('the columns of src/postgres/tables', () => {
  test('are those of all tables and views that the migrations add up to, with their types, nulls and defaults', () => {
    expect(inOrder([...tables.flatMap(ofTable), ...views.flatMap(ofView)])).toEqual(inOrder(stored));
  });
});

interface Column {
  readonly relation: string;
  readonly column: string;
  readonly type: string;
  /** Null for a view, of whose columns PostgreSQL does not know it. */
  readonly notNull: boolean | null;
  readonly default: string | null;
}

/** A default as PostgreSQL writes it. */
const defaultOf = ({ default: value, generatedIdentity }: PgColumn): string | null => {
  if (generatedIdentity?.type === 'always') return 'generated always as identity';
  if (is(value, SQL)) return new PgDialect().sqlToQuery(value).sql;
  if (value === undefined) return null;
  return typeof value === 'string' ? `'${value}'::text` : String(value);
};

const ofTable = ({ name, columns }: (typeof tables)[number]): readonly Column[] =>
  columns.map((column) => ({
    relation: name,
    column: column.name,
    type: column.getSQLType(),
    notNull: column.notNull,
    default: defaultOf(column),
  }));

const ofView = ({ name, selectedFields }: (typeof views)[number]): readonly Column[] =>
  Object.values(selectedFields as Record<string, PgColumn>).map((column) => ({
    relation: name,
    column: column.name,
    type: column.getSQLType(),
    notNull: null,
    default: null,
  }));

const inOrder = (columns: readonly Column[]): readonly Column[] =>
  columns.toSorted((a, b) => `${a.relation} ${a.column}`.localeCompare(`${b.relation} ${b.column}`));
