import type { Pool, PoolClient } from 'pg';
import { copyOut } from '../../postgres/copy.ts';
import { inTransaction, longStatement } from '../../postgres/pool.ts';
import { eventFields } from '../append/event-row.ts';
import { statementOf } from '../append/keys-in-force.ts';
import { readLeafTiles, readMonthKeys, readStatementsOf } from '../builder/load-log.sql.ts';
import { HASH_BYTES } from '../bytes.ts';
import { united } from '../journal/instants.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';
import { compareColumns } from './compare-columns.sql.ts';
import { BLOCK_LEAVES, BlockCheck } from './verify-block.ts';

const REPEATABLE = 'set transaction isolation level repeatable read, read only';

/** What is wrong with a block, of one snapshot but for the events, which are never changed. `columns`: those that are made of `raw` are made again. */
export const verifyBlock = async (
  pool: Pool,
  block: number,
  {
    hasColumns = true,
    pause = async () => {},
  }: { readonly hasColumns?: boolean; readonly pause?: () => Promise<void> } = {},
): Promise<readonly string[]> => {
  const found = await readBlock(pool, block);
  if (found === undefined) return [];
  const { check, positions, log, isLast } = found;
  const [after, until] = positions;
  // Of the last block: what is not signed yet, or has come since. What stands above the head is for the tree.
  const mayBeNew = (position: number) => position > log.lastSigned;
  await pause();
  await copyOut(pool, eventsBetween(after, until), (row) => check.take(row, mayBeNew));
  await pause();
  if (hasColumns) {
    for (const fault of await compareColumns(pool, after, isLast ? log.lastSigned : BigInt(until) - 1n))
      check.fault(fault);
  }
  const faults = check.end();
  // An event may have been dropped since the snapshot.
  return faults.length === 0 ? faults : await stillWrong(pool, block, faults);
};

const stillWrong = async (pool: Pool, block: number, faults: readonly string[]): Promise<readonly string[]> => {
  if (!faults.some((text) => text.includes('no drop says why'))) return faults;
  const again = await readBlock(pool, block);
  if (again === undefined) return faults;
  await copyOut(pool, eventsBetween(...again.positions), (row) => again.check.take(row, () => true));
  const missing = again.check.end();
  return faults.filter((text) => !text.includes('no drop says why') || missing.includes(text));
};

const eventsBetween = (after: bigint | number, until: bigint | number): string =>
  `select ${eventFields.join(', ')} from audit_events where position > ${after} and position < ${until}`;

const SMALLEST = 1n - 2n ** 63n;
const LARGEST = 2n ** 63n - 1n;

interface SignedLog {
  readonly signedSize: number;
  /** Position of the last event below it. */
  readonly lastSigned: number;
}

const readBlock = async (pool: Pool, block: number) =>
  await inTransaction(pool, async (client) => {
    await client.query(REPEATABLE);
    const log = await readSigned(client);
    const from = block * BLOCK_LEAVES;
    if (log === undefined || from >= log.signedSize) return undefined;
    const to = Math.min(log.signedSize, from + BLOCK_LEAVES);
    const tiles = await readLeafTiles(client, 'n >= $1 and n < $2', [from / TILE_WIDTH, Math.ceil(to / TILE_WIDTH)]);
    const isLast = to === log.signedSize;
    // Gaps between positions are looked at as well.
    const after = block === 0 ? SMALLEST : (await firstPositionFrom(client, from)) - 1;
    const until = isLast ? LARGEST : await firstPositionFrom(client, to);
    const statements = await readStatements(client, from, to);
    const check = new BlockCheck({
      block,
      from,
      to,
      tiles,
      parents: await readParents(client, from, to),
      statements,
      numbers: await readNumbers(client),
      monthKeys: await readMonthKeys(client),
      dropped: united((await readStatementsOf(client, 'drop')).flatMap(({ indexes }) => indexes)),
      droppedPositions: await readDrops(client),
    });
    for (const fault of await faultsOfStatements(client, statements)) check.fault(fault);
    return { check, positions: [after, until] as const, log, isLast };
  });

const readSigned = async (client: PoolClient): Promise<SignedLog | undefined> => {
  const { rows } = await client.query<{ signedSize: number | null }>(
    'select signed_size::float8 as "signedSize" from evidence_log',
  );
  const { signedSize = null } = rows[0] ?? {};
  if (signedSize === null) return undefined;
  return { signedSize, lastSigned: await lastPositionBelow(client, signedSize) };
};

const lastPositionBelow = async (client: PoolClient, size: number): Promise<number> => {
  const { rows } = await client.query<{ n: number; positions: Buffer }>(
    `select n::float8 as n, positions from evidence_tiles where level = 0 and n <= $1 and first_position is not null order by n desc limit 2`,
    [Math.floor(Math.max(0, size - 1) / TILE_WIDTH)],
  );
  for (const { n, positions } of rows) {
    for (let at = Math.min(TILE_WIDTH, size - n * TILE_WIDTH, positions.length / 8) - 1; at >= 0; at -= 1) {
      const position = Number(positions.readBigUInt64BE(8 * at));
      if (position > 0) return position;
    }
  }
  return 0;
};

/** Of the first event at this index or behind it. */
const firstPositionFrom = async (client: PoolClient, index: number): Promise<number> => {
  const { rows } = await client.query<{ first: number | null }>(
    'select first_position::float8 as first from evidence_tiles where level = 0 and n >= $1 and first_position is not null order by n limit 1',
    [index / TILE_WIDTH],
  );
  return rows[0]?.first ?? Number.MAX_SAFE_INTEGER;
};

const readParents = async (client: PoolClient, from: number, to: number): Promise<ReadonlyMap<number, Buffer>> => {
  const [first, end] = [from / TILE_WIDTH, Math.ceil(to / TILE_WIDTH)];
  const { rows } = await client.query<{ n: number; hashes: Buffer }>(
    'select n::float8 as n, hashes from evidence_tiles where level = 1 and n between $1 and $2',
    [Math.floor(first / TILE_WIDTH), Math.floor(end / TILE_WIDTH)],
  );
  const parents = new Map<number, Buffer>();
  for (const { n, hashes } of rows) {
    for (let at = 0; at < hashes.length / HASH_BYTES; at += 1)
      parents.set(n * TILE_WIDTH + at, hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
  }
  return parents;
};

const readStatements = async (client: PoolClient, from: number, to: number) => {
  const { rows } = await client.query<{ index: number; source: number; text: string }>(
    longStatement(
      'select index::float8 as index, source::float8 as source, text from evidence_statements where index >= $1 and index < $2',
      [from, to],
    ),
  );
  return new Map(rows.map(({ index, source, text }) => [index, { source, text }]));
};

const readNumbers = async (client: PoolClient) => {
  const { rows } = await client.query<{ number: number; kind: string; id: string }>(
    'select number::float8 as number, kind, id from evidence_sources',
  );
  return new Map(rows.map(({ number, kind, id }) => [number, { kind, id }]));
};

/** Of drops that are not stated yet, too. */
const readDrops = async (client: PoolClient) => {
  const { rows } = await client.query<{ first: number; end: number }>(
    'select lower(r)::float8 as first, upper(r)::float8 as end from retention_drops d, unnest(d.positions) r',
  );
  return united(rows.map(({ first, end }): [number, number] => [first, end]));
};

/** Statements against what they were made of: rows of requests, later contents, the numbers of sources. */
const faultsOfStatements = async (
  client: PoolClient,
  statements: ReadonlyMap<number, { readonly text: string }>,
): Promise<string[]> => {
  const faults: string[] = [];
  for (const [index, { text }] of statements) {
    const statement = statementOf(text);
    if (statement?.type === 'coverage' && statement.rows.last >= statement.rows.first) {
      const { first, last, sha256 } = statement.rows;
      const { rows } = await client.query<{ count: number; sha256: string }>(rowsOf, [statement.source, first, last]);
      const found = rows[0] ?? { count: 0, sha256: '' };
      if (found.count > 0 && found.sha256 !== sha256)
        faults.push(`the requests of statement ${index} are not those that it counts`);
      if (found.count === 0 && (await isRecent(client, statement.source, statement.as_of)))
        faults.push(`the requests of statement ${index} are missing`);
    } else if (statement?.type === 'change') {
      const { rows } = await client.query<{ isThere: boolean }>(changeOf, [statement.event, statement.raw_sha256]);
      if (rows[0]?.isThere === false)
        faults.push(`the later content of statement ${index} is not there, or another one`);
    } else if (statement?.type === 'source') {
      const { number, kind, id } = statement;
      const { rowCount } = await client.query(
        'select from evidence_sources where number = $1 and kind = $2 and id = $3',
        [number, kind, id],
      );
      if (rowCount === 0) faults.push(`number ${number} is not of ${kind} ${id}`);
    }
  }
  return faults;
};

const rowsOf = `
select count(*)::integer as count, encode(sha256(convert_to(coalesce(string_agg(orgtrail_read_text(r, s.number) || E'\\n', '' order by r.number), ''), 'UTF8')), 'hex') as sha256
from evidence_sources s join evidence_reads r on r.source_kind = s.kind and r.source_id = s.id
where s.number = $1 and r.number between $2 and $3`;

/** Rows of a statement are kept until 31 days behind the newest one of its source. */
const isRecent = async (client: PoolClient, source: number, asOf: string): Promise<boolean> => {
  const { rowCount } = await client.query(
    `select from evidence_statements t where t.source = $1 and t.type = 'coverage'
       and t.index = (select max(n.index) from evidence_statements n where n.source = $1 and n.type = 'coverage')
       and $2::timestamptz >= (t.text::jsonb ->> 'as_of')::timestamptz - interval '31 days'`,
    [source, asOf],
  );
  return rowCount === 1;
};

/** Null where the event was dropped. */
const changeOf = `
select case when exists (select from audit_events e where e.position = p.position) then exists (select from audit_event_changes c
  where c.position = p.position and encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex') = $2) end as "isThere"
from (select ('x' || encode(substring(t.positions from (8 * ($1::bigint % 256) + 1)::integer for 8), 'hex'))::bit(64)::bigint as position
  from evidence_tiles t where t.level = 0 and t.n = $1::bigint / 256) p`;
