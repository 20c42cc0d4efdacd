import { once } from 'node:events';
import { constants, createZstdCompress } from 'node:zlib';
import type { PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { copyWithin } from '../../postgres/copy.ts';
import { inTransaction, longStatement, type Pool } from '../../postgres/pool.ts';
import { sha256Of } from '../manifest.ts';

/**
 * What a database has beside its months, in the order in which rows may be entered. Not in it: tokens, sessions, evidence and what is found out again.
 * The trail of access is, for an account that may read it (docs/decisions/12).
 */
const stateTables = [
  ...['holds', 'retention_policy', 'retention_drops', 'retention_waits', 'position_jumps'],
  ...['archive_policy', 'archive_objects', 'archive_snapshots'],
  ...[
    'organizations',
    'organization_changes',
    'accounts',
    'account_listings',
    'account_organizations',
    'account_changes',
  ],
  ...['discovery', 'sources', 'coverage', 'coverage_holes', 'coverage_readings', 'checks'],
  ...['collector_tokens', 'findings', 'detection_mutes', 'own_detections'],
  ...['sinks', 'sink_dead_letters', 'alarms', 'alarm_changes', 'alarm_cursors'],
  ...['saved_searches', 'search_tells', 'search_matches', 'event_spellings'],
  // Only of events without a month: an object has the others.
  ...['audit_events', 'audit_event_changes'],
  ...['feed_head', 'finding_head'],
  'access_log',
] as const;
type StateTable = (typeof stateTables)[number];

/** The first line of a state. A line for each table with its columns follows, and one for each row of it: values as texts, in their order. */
export interface StateHead {
  readonly version: 1;
  readonly feed_id: string;
  readonly position: number;
  readonly at: string;
  readonly archive: string;
  /** Months with rows that are in no object: they are read again from Cloudflare. */
  readonly unarchived: readonly string[];
}

/** As a state with nothing in it: of what is not known, nothing is claimed. */
export const emptyState = (feedId: string, archive: string): Buffer => {
  const head: StateHead = {
    version: 1,
    feed_id: feedId,
    position: 0,
    at: new Date().toISOString(),
    archive,
    unarchived: [],
  };
  return Buffer.from(`${JSON.stringify(head)}\n`);
};

/** What changes seldom, and must not come back as of yesterday. */
const rareRows = [
  ...[
    'holds',
    'retention_policy',
    'retention_drops',
    'position_jumps',
    'archive_policy',
    'detection_mutes',
    'saved_searches',
  ].map((table) => `select '${table}' as name, e::text as row from ${table} e`),
  `select 'search_tells', (e.search_id, e.sink, e.every_seconds)::text from search_tells e`,
  `select 'sinks', (e.name, e.kind)::text from sinks e`,
].join(' union all ');
const rareText = `select coalesce(string_agg(name || row, chr(10) order by name, row), '') as text from (${rareRows}) r`;

/** SHA-256 of it. */
export const readRare = async (pool: Pool): Promise<string> =>
  await inTransaction(pool, async (client) => {
    await client.query(PLAIN_TEXTS);
    return await rareOf(client);
  });

const rareOf = async (client: PoolClient): Promise<string> =>
  sha256Of(Buffer.from((await client.query<{ text: string }>(rareText)).rows[0]?.text ?? ''));

/** Values mean the same, whatever the server is set to. */
const PLAIN_TEXTS = "set local datestyle = 'ISO'; set local intervalstyle = 'postgres'; set local timezone = 'UTC'";

const NEW_LINE = Buffer.from('\n');
const COMPRESSED_AT_ONCE = 262_144;

/** Of the connection of a client: rows of COPY come as fast as the server sends them. */
interface Flow {
  readonly connection: { readonly stream: { pause(): void; resume(): void } };
}

/** All as of one moment, compressed as it comes. Needs no more rights than those of a daemon. */
export const readState = async (
  pool: Pool,
  archive: string,
  signal?: AbortSignal,
): Promise<{ readonly head: StateHead; readonly bytes: Buffer; readonly rareSha256: string }> =>
  await inTransaction(
    pool,
    async (client) => {
      await client.query(`set transaction isolation level repeatable read read only; ${PLAIN_TEXTS}`);
      const head = await readHead(client, archive);
      const compressor = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
      const parts: Buffer[] = [];
      compressor.on('data', (part: Buffer) => parts.push(part));
      const { stream } = (client as unknown as Flow).connection;
      compressor.on('drain', () => stream.resume());
      let text: Buffer[] = [];
      let textBytes = 0;
      const add = (line: Buffer) => {
        text.push(line, NEW_LINE);
        textBytes += line.length;
        if (textBytes < COMPRESSED_AT_ONCE) return;
        if (!compressor.write(Buffer.concat(text))) stream.pause();
        [text, textBytes] = [[], 0];
      };
      add(Buffer.from(JSON.stringify(head)));
      const undated = await conditionOfUndated(client);
      const { rows: unread } = await client.query<{ table: string }>(
        "select t as table from unnest($1::text[]) t where not has_table_privilege(t, 'select')",
        [['access_log']],
      );
      for (const table of stateTables.filter((each) => !unread.some((one) => one.table === each))) {
        const columns = (await columnsOf(client, table)).map(({ name }) => name);
        add(Buffer.from(JSON.stringify({ table, columns })));
        const values = columns.map((name) => `e."${name}"::text`).join(', ');
        const where = table === 'audit_events' || table === 'audit_event_changes' ? undated[table] : '';
        const query = `select json_build_array(${values})::text from ${table} e ${where}`;
        await copyWithin(
          client,
          query,
          ({ bytes, starts: [from = 0], lengths: [length = 0] }) => {
            add(Buffer.from(bytes.subarray(from, from + length)));
          },
          { signal, long: true },
        );
      }
      compressor.end(Buffer.concat(text));
      await once(compressor, 'end');
      // Behind `end`, a stream does not say that it has drained.
      stream.resume();
      return { head, bytes: Buffer.concat(parts), rareSha256: await rareOf(client) };
    },
    signal,
  );

const months = `select to_date(right(c.relname, 7), 'YYYY_MM') as month from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'audit_events'::regclass and c.relname ~ '^audit_events_\\d{4}_\\d{2}$'`;
const rangeOf = (month: string): string =>
  `tstzrange(${month}::timestamp at time zone 'UTC', (${month}::timestamp + interval '1 month') at time zone 'UTC')`;

/** As in `readSettledMonths`, by the newest row alone: positions are given in the order of storing. */
const readHead = async (client: PoolClient, archive: string): Promise<StateHead> => {
  const { rows } = await client.query<Omit<StateHead, 'version' | 'archive'>>(
    longStatement(
      `select h.feed_id::text, h.position::float8, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
         (select coalesce(array_agg(to_char(m.month, 'YYYY-MM') order by m.month), '{}') from (${months}) m
          cross join lateral (select max(e.position) as position from audit_events e
            where e.action_time >= lower(${rangeOf('m.month')}) and e.action_time < upper(${rangeOf('m.month')})) event
          cross join lateral (select count(*) as changes from audit_event_changes c join audit_events e on e.position = c.position
            where e.action_time >= lower(${rangeOf('m.month')}) and e.action_time < upper(${rangeOf('m.month')})) change
          cross join lateral (select max(o.last_position) filter (where o.kind = 'events') as position,
              coalesce(sum(o.events) filter (where o.kind = 'changes'), 0) as changes, coalesce(bool_or(o.fault is not null), false) as faulty
            from archive_objects o where o.month = m.month and o.archive = $1 and o.superseded_at is null and o.dropped_at is null) archived
          where event.position is not null
            and (event.position is distinct from archived.position or change.changes <> archived.changes or archived.faulty)) as unarchived
       from feed_head h`,
      [archive],
    ),
  );
  if (rows[0] === undefined) throw new Error('the database has no feed');
  return { version: 1, archive, ...rows[0] };
};

/** Rows of the partition for what has no month, which is reached through its parent. Late events of a month that was archived since are in an object. */
const conditionOfUndated = async (client: PoolClient) => {
  const { rows } = await client.query<{ between: string }>(
    `select format('e.action_time >= %L and e.action_time < %L', coalesce(lower(r), '-infinity'), coalesce(upper(r), 'infinity')) as between
     from unnest('{(,)}'::tstzmultirange - (select coalesce(range_agg(${rangeOf('m.month')}), '{}') from (${months}) m)) r`,
  );
  const archived = `exists (select from archive_objects o where o.kind = 'events' and o.superseded_at is null
    and o.month = date_trunc('month', e.action_time at time zone 'UTC')::date and e.position between o.first_position and o.last_position)`;
  const within = `(${rows.map(({ between }) => `(${between})`).join(' or ')})`;
  const isUndated = `${within} and not (isfinite(e.action_time) and ${archived})`;
  return {
    audit_events: `where ${isUndated}`,
    audit_event_changes: `where e.position in (select e.position from audit_events e where ${isUndated})`,
  };
};

interface Column {
  readonly name: string;
  readonly type: string;
}

const columnsOf = async (client: PoolClient, table: string): Promise<readonly Column[]> =>
  (
    await client.query<Column>(
      `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
       where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
      [table],
    )
  ).rows;

const ROWS_AT_ONCE = 2_000;

/** Enters what a state has of these tables, in place of what they have. */
export const enterState = async (
  client: PoolClient,
  lines: Buffer,
  isEntered: (table: StateTable) => boolean,
): Promise<void> => {
  await client.query(PLAIN_TEXTS);
  let statement: string | undefined;
  let rows: string[] = [];
  const flush = async (): Promise<void> => {
    if (statement !== undefined && rows.length > 0) await client.query(longStatement(statement, [`[${rows.join()}]`]));
    rows = [];
  };
  for (const line of linesOf(lines)) {
    if (line.startsWith('[')) {
      if (statement !== undefined) rows.push(line);
      if (rows.length === ROWS_AT_ONCE) await flush();
    } else {
      await flush();
      const parsed = JSON.parse(line) as { readonly table?: StateTable; readonly columns?: readonly string[] };
      const table = stateTables.find((known) => known === parsed.table);
      statement = table && isEntered(table) ? await beginTable(client, table, parsed.columns ?? []) : undefined;
    }
  }
  await flush();
};

const beginTable = async (client: PoolClient, table: StateTable, names: readonly string[]): Promise<string> => {
  await client.query(`delete from ${table}`);
  const known = await columnsOf(client, table);
  const columns = names.map((name) => {
    const column = known.find((each) => each.name === name);
    if (column !== undefined) return column;
    throw new OrgtrailError(
      'usage',
      `the state of the lost database has ${table}.${name}, which this version does not know`,
      {
        hint: 'restore with the version that archived last, then upgrade',
      },
    );
  });
  const values = columns.map(({ type }, index) => `(r ->> ${index})::${type}`).join(', ');
  return `insert into ${table} (${columns.map(({ name }) => `"${name}"`).join(', ')}) overriding system value
    select ${values} from json_array_elements($1::json) r`;
};

function* linesOf(bytes: Buffer): Generator<string> {
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(10, from);
    const to = end === -1 ? bytes.length : end;
    yield bytes.toString('utf8', from, to);
    from = to + 1;
  }
}

export const readStateHead = (lines: Buffer): StateHead => {
  const head = JSON.parse(lines.toString('utf8', 0, lines.indexOf(10))) as StateHead;
  if (head.version === 1) return head;
  throw new OrgtrailError('usage', 'the state of the lost database was written by a later version', {
    hint: 'restore with the version that archived last',
  });
};

/** What is numbered goes on behind the highest number; drops and jumps have one series. */
export const raiseNumbers = async (client: PoolClient): Promise<void> => {
  const { rows } = await client.query<{ table: string; column: string }>(
    `select c.relname as table, a.attname as column from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attidentity <> ''
     where c.oid = any($1::regclass[])`,
    [stateTables],
  );
  for (const { table, column } of rows) {
    const jumps = table === 'retention_drops' ? '(select max(id) from position_jumps)' : '0';
    await client.query(
      `select setval(pg_get_serial_sequence('${table}', '${column}'),
         greatest((select max("${column}") from ${table}), ${jumps}, (select last_value from pg_sequences
           where format('%I.%I', schemaname, sequencename)::regclass = pg_get_serial_sequence('${table}', '${column}')::regclass), 1))`,
    );
  }
};
